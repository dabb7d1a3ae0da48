# A worker of Kafka Connect with the recipe of docs/platform, at the addresses of compose/.
ARG KAFKA=apache/kafka:4.3.1
ARG MAVEN=maven:3.9-eclipse-temurin-21

FROM ${MAVEN} AS plugins
COPY plugins.xml .
RUN mvn --quiet --file plugins.xml dependency:copy-dependencies -DoutputDirectory=/plugins/vtj

FROM ${KAFKA}
RUN mkdir /tmp/connect
WORKDIR /tmp/connect
COPY --from=plugins /plugins plugins
COPY --chown=appuser worker.properties state.json ./
RUN sed -i 's/localhost:9092/kafka:9092/' worker.properties \
 && sed -i 's/localhost:8080/registry:8080/; s/localhost:5432/postgres:5432/' state.json
ENV KAFKA_HEAP_OPTS="-Xms256m -Xmx512m"
CMD ["/opt/kafka/bin/connect-standalone.sh", "worker.properties", "state.json"]
