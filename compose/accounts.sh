# The accounts at Kafka, and what each may do there: docs/kafka.md lists it. May be repeated.
set -eu
cd /opt/kafka/bin
at="--bootstrap-server 127.0.0.1:9094"

for account in vtj-producer reader; do
  ./kafka-configs.sh $at --alter --entity-type users --entity-name $account --add-config-file /etc/kafka/secrets/$account.scram
done

allow() {
  ./kafka-acls.sh $at --add --allow-principal "User:$1" "${@:2}" >/dev/null
}

allow vtj-producer --topic vtj. --resource-pattern-type prefixed --operation Describe --operation DescribeConfigs \
  --operation Read --operation Write --operation Create --operation AlterConfigs
allow vtj-producer --transactional-id vtj.vtj. --resource-pattern-type prefixed --operation Describe --operation Write
allow vtj-producer --group vtj.vtj --operation Describe --operation Read
allow vtj-producer --cluster --operation Describe --operation DescribeConfigs
allow reader --topic vtj. --group reader --resource-pattern-type prefixed --operation Describe --operation Read
