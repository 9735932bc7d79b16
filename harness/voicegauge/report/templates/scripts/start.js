// One script, split into files by topic. Without JavaScript the page is complete but static.
(() => {
"use strict";
document.documentElement.classList.add("js");
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const one = (selector, root = document) => root.querySelector(selector);
