"""The chain, in the order of docs/onboarding.md: each link, whose it is, and what to ask of the owner."""

from typing import Final

from producer.check import kafka, upstream
from producer.check.chain import Link
from producer.check.site import Site
from producer.check.upstream import (
    ACCESS,
    CERTIFICATE,
    CLIENT,
    CURSOR,
    DVV,
    LISTED,
    LOGIN,
    OPENAPI,
    OPERATOR,
    PERSON,
    TLS,
    YOU,
)  # fmt: skip

SETTINGS, UPSTREAM = "settings", "network to upstream"
TO_KAFKA, AT_KAFKA, VERSION, BROKERS = "network to Kafka", "login to Kafka", "version of Kafka", "brokers"
TOPIC_RIGHTS, GROUP_RIGHTS, ID_RIGHTS = "rights on topics", "rights on the group", "rights on transactional ids"
TOPICS, TRANSACTIONS, REGISTRY, SCHEMAS = "topics", "transactions", "registry", "schemas"
CLOCK, KAFKAS_CLOCK = "clock of upstream", "clock of Kafka"

NETWORK, KAFKA, SUBJECTS = "network team", "Kafka team", "owner of the schema registry"


async def _settings(on: Site) -> str:
    await on.begin()
    return "complete, and the files that they name are there"


CLOCKS: Final = "Is your clock right? Ours, that of {here}, says another time."
# What is asked of the owner, with the words of Site.
ASKS: Final = {
    UPSTREAM: "Please let {here} connect to {there} (DNS, TCP).",
    TLS: "Which CA has issued the certificate of {there}, and for which host names? We need the CA as a PEM file.",
    CERTIFICATE: "Please let our client certificate in at {there}: on a security server, among the TLS certificates of "
    "the subsystem {client}. It is enclosed (without its key).",
    CLIENT: "Please register the subsystem {client} on the security server {there}, be it ours, shared or yours, in "
    "the instance {instance}, and tell us when the registration is approved.",
    LISTED: "We call listMethods of {service} through {there} as {client}, and it fails.",
    OPENAPI: "We ask for the description of {service} (getOpenAPI) as {client}, and it fails.",
    ACCESS: "Please open {service} to the subsystem {client}, as our data permit says.",
    LOGIN: "The account {account} is not let in at {service}. Are account, password and permit in force there?",
    CURSOR: "We ask {service} for today's kirjausavain with the account {account}, and it fails.",
    PERSON: "We ask {service} for perustiedot with the account {account}, and it fails. Does the permit cover them?",
    TO_KAFKA: "Please let {here} connect to {brokers} (DNS, TCP).",
    AT_KAFKA: "We cannot log in at {brokers}. Which protocol (TLS, SASL), which CA and which account are for us?",
    VERSION: "Which Kafka is {brokers}? We need Apache Kafka 3.0 or later.",
    BROKERS: "Please let {here} reach each broker of {brokers} by the name that it tells (advertised.listeners).",
    TOPIC_RIGHTS: "Please grant our account at {brokers} what is missing on the topics {prefix}.*",
    GROUP_RIGHTS: "Please let our account use the consumer group {group} at {brokers} (Read and Describe).",
    ID_RIGHTS: "Please grant our account at {brokers} Describe and Write on the transactional ids {group}. (prefixed).",
    TOPICS: "Please make the topics {prefix}.* at {brokers} as `vtj-producer topics plan` lists them.",
    TRANSACTIONS: "We write in transactions, and {brokers} cannot begin one.",
    REGISTRY: "We cannot use the schema registry {registry}: are its address, CA and account as we have them?",
    CLOCK: CLOCKS,
    KAFKAS_CLOCK: CLOCKS,
    SCHEMAS: "Please let `vtj-producer schemas register` write our subjects at {registry}.",
}
LINKS: Final = tuple(
    Link(name, owner, ASKS.get(name, ""), after, prove)
    for name, owner, after, prove in (
        (SETTINGS, YOU, (), _settings),
        (UPSTREAM, NETWORK, (SETTINGS,), upstream.network),
        (TLS, OPERATOR, (UPSTREAM,), upstream.tls),
        (CERTIFICATE, OPERATOR, (TLS,), upstream.certificate),
        (CLIENT, OPERATOR, (CERTIFICATE,), upstream.client),
        (LISTED, OPERATOR, (CLIENT,), upstream.listed),
        (OPENAPI, DVV, (LISTED,), upstream.described),
        (ACCESS, DVV, (LISTED,), upstream.access),
        (LOGIN, DVV, (ACCESS,), upstream.login),
        (CURSOR, DVV, (LOGIN,), upstream.cursor),
        (PERSON, DVV, (CURSOR,), upstream.person),
        (TO_KAFKA, NETWORK, (SETTINGS,), kafka.network),
        (AT_KAFKA, KAFKA, (TO_KAFKA,), kafka.login),
        (BROKERS, KAFKA, (AT_KAFKA,), kafka.brokers),
        (VERSION, KAFKA, (BROKERS,), kafka.version),
        (TOPIC_RIGHTS, KAFKA, (BROKERS,), kafka.topic_rights),
        (GROUP_RIGHTS, KAFKA, (BROKERS,), kafka.group_rights),
        (ID_RIGHTS, KAFKA, (BROKERS,), kafka.id_rights),
        (TOPICS, KAFKA, (TOPIC_RIGHTS,), kafka.planned),
        (TRANSACTIONS, KAFKA, (ID_RIGHTS,), kafka.transactions),
        (REGISTRY, SUBJECTS, (SETTINGS,), kafka.registry),
        (SCHEMAS, SUBJECTS, (REGISTRY,), kafka.schemas),
        (CLOCK, OPERATOR, (SETTINGS,), upstream.clock),
        (KAFKAS_CLOCK, KAFKA, (BROKERS,), kafka.clock),
    )
)
