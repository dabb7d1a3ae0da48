# Maven from Debian where its public image is not to be had.
FROM debian:trixie-slim
RUN mkdir -p /usr/share/man/man1 \
 && apt-get update && apt-get install -y --no-install-recommends maven \
 && rm -rf /var/lib/apt/lists/*
