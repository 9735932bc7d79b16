// One player at a time: a new one pauses the others.
document.addEventListener("play", (event) => {
  for (const player of all("audio")) if (player !== event.target) player.pause();
}, true);
