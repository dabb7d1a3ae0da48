# apache/kafka with what a stand-in for it may lack: Connect, from Maven. Context: the worker's jars.
FROM apache/kafka:4.3.1
COPY --chown=appuser . /opt/kafka/libs/
RUN printf '#!/bin/sh\nexec /opt/kafka/bin/kafka-run-class.sh org.apache.kafka.connect.cli.ConnectStandalone "$@"\n' \
  >/opt/kafka/bin/connect-standalone.sh && chmod 755 /opt/kafka/bin/connect-standalone.sh
