# Makes the certificates and passwords of the secure stack, once: what each party needs, in a volume that it alone sees.
set -eu
umask 077
cd /secrets
if [ -e kafka/made ] && [ -e sandbox/made ] && [ -e producer/made ] && [ -e reader/made ]; then
  exit
fi
new=$(mktemp -d)

password() {
  openssl rand -hex 24
}

# issue NAME USE [HOST]: NAME.pem and NAME.key, signed by the CA
issue() {
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/CN=$1" -keyout "$new/$1.key" \
    -x509 -CA "$new/ca.pem" -CAkey "$new/ca.key" -days 365 -out "$new/$1.pem" -config "$new/leaf.cnf" \
    -addext "extendedKeyUsage=$2" ${3:+-addext "subjectAltName=DNS:$3,DNS:localhost"} 2>"$new/said" || {
    cat "$new/said" >&2
    exit 1
  }
}

cat >"$new/leaf.cnf" <<'END'
[req]
distinguished_name = dn
x509_extensions = leaf
[dn]
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
END
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/CN=vtj compose" -days 365 \
  -keyout "$new/ca.key" -out "$new/ca.pem" -addext "keyUsage=critical,keyCertSign" 2>/dev/null
issue kafka serverAuth kafka
issue sandbox serverAuth sandbox
issue producer clientAuth
producer=$(password) reader=$(password)
password >"$new/upstream"
printf 'SCRAM-SHA-512=password=%s\n' "$producer" >"$new/vtj-producer.scram"
printf 'SCRAM-SHA-512=password=%s\n' "$reader" >"$new/reader.scram"
printf '%s\n' "$producer" >"$new/kafka-password"
cat >"$new/kafka.conf" <<END
security.protocol=SASL_SSL
ssl.ca.location=reader/ca.pem
sasl.mechanism=SCRAM-SHA-512
sasl.username=reader
sasl.password=$reader
END
cat "$new/kafka.key" "$new/kafka.pem" >"$new/broker.pem"

# give PARTY UID FILE[=NAME]...: `made` comes last, so that what was interrupted is begun anew
give() {
  party=$1 uid=$2
  shift 2
  for file; do
    install -o "$uid" -m 400 "$new/${file%=*}" "$party/${file#*=}"
  done
  touch "$party/made"
}

rm -f ./*/made
give kafka 1000 broker.pem vtj-producer.scram reader.scram
give sandbox 65532 sandbox.pem=server.pem sandbox.key=server.key producer.pem=clients.pem upstream=password
give producer 65532 ca.pem producer.pem=client.pem producer.key=client.key kafka-password upstream=upstream-password
give reader 0 ca.pem kafka.conf
rm -r "$new"
