# PostgreSQL 17 from Debian where its public image is not to be had: what compose/platform.yaml asks of that image.
FROM debian:trixie-slim
RUN mkdir -p /usr/share/man/man1 /usr/share/man/man7 \
 && apt-get update && apt-get install -y --no-install-recommends postgresql-17 \
 && rm -rf /var/lib/apt/lists/* /var/lib/postgresql/17
ENV PATH=/usr/lib/postgresql/17/bin:$PATH PGDATA=/var/lib/postgresql/data
COPY postgres.sh /usr/local/bin/
VOLUME /var/lib/postgresql/data
ENTRYPOINT ["bash", "/usr/local/bin/postgres.sh"]
