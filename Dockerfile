# The emulator in a container, as a test double of the bundled providers:
#   docker build --tag voicegauge-emulator .
#   docker run --rm --publish 127.0.0.1:8080:8080 voicegauge-emulator pixelapi
FROM python:3.12-slim AS build
WORKDIR /source
COPY . .
RUN pip install --no-cache-dir build && python -m build --wheel --outdir /dist
# Pins without digests: pip cannot verify a wheel that was just built.
RUN sed -n 's/ \\$//; /^[a-z]/p' constraints-light.txt >/dist/pins.txt

FROM python:3.12-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends socat \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 10001 emulator
RUN --mount=from=build,source=/dist,target=/dist \
    pip install --no-cache-dir --constraint /dist/pins.txt "$(echo /dist/*.whl)[emulator]"
COPY --chmod=755 .ci/serve-in-container /usr/local/bin/serve-in-container
USER emulator
WORKDIR /home/emulator
EXPOSE 8080
HEALTHCHECK --interval=10s --start-period=20s --timeout=5s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/_emulator/health', timeout=4)"]
ENTRYPOINT ["serve-in-container"]
