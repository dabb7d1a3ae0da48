# vtj-producer: `make image`. What runs needs no shell, no privilege and no file that can be written.
ARG PYTHON=python:3.13-slim-trixie

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_COMPILE=1
WORKDIR /src
RUN python -m venv --without-pip /opt/vtj
COPY requirements requirements
RUN pip install --quiet --require-hashes --only-binary :all: --requirement requirements/build.txt \
 && pip --python /opt/vtj/bin/python install --quiet --require-hashes --only-binary :all: --requirement requirements/run.txt
COPY . .
RUN pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels . \
 && pip --python /opt/vtj/bin/python install --quiet --no-deps --no-index /wheels/*.whl \
 && /opt/vtj/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/vtj/lib

FROM ${PYTHON}
COPY --from=build /opt/vtj /opt/vtj
ENV PATH=/opt/vtj/bin:$PATH VTJ_SERVER__HOST=0.0.0.0 VTJ_SERVER__PORT=8080
USER 65532:65532
EXPOSE 8080
# /healthz is there as soon as it runs; whether it also works is /readyz's word, and nothing that a restart would mend.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-Ic", "import http.client as h, os, sys; c = h.HTTPConnection('127.0.0.1', int(os.environ['VTJ_SERVER__PORT']), timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["vtj-producer"]
CMD ["run"]
ARG PYTHON VERSION=unknown REVISION=unknown
LABEL org.opencontainers.image.title="vtj-producer" \
      org.opencontainers.image.description="Finland's population changes (DVV VTJ-muutosrajapinta) into Kafka as typed Avro events, exactly once" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON}"
