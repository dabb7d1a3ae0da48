"""The catalogue's own words in both languages, for what the schemas say in one word."""

import re
from typing import Final

from producer.catalogue.reading import Shared, Text

THEMES: Final = {
    "henkilö": Text("Henkilö", "Person"),
    "osoitteet": Text("Osoitteet", "Addresses"),
    "asuminen": Text("Asuminen ja kunta", "Residence and municipality"),
    "suhteet": Text("Perhe ja muut suhteet", "Family and other relations"),
    "kiellot": Text("Kiellot", "Prohibitions"),
    "muut": Text("Muut tiedot", "Other data"),
    "rakennus": Text("Rakennukset", "Buildings"),
}
PII: Final = {
    "identifying": Text("yksilöivä", "identifying"),
    "contact": Text("yhteystieto", "contact"),
    "family": Text("perhetieto", "family"),
    "special": Text("arkaluonteinen", "special"),
    "none": Text("ei henkilötietoa", "not personal"),
}
CONFIDENCE: Final = {
    "confirmed": Text("vahvistettu", "confirmed"),
    "partial": Text("osittain tunnettu", "partly known"),
    "inferred": Text("päätelty", "inferred"),
}
CONFIDENCE_MEANING: Final = {
    "confirmed": Text("Nimet ja tyypit on nähty aidoissa vastauksissa.", "Names and types were seen in real answers."),
    "partial": Text(
        "Vain osa tunnetaan. Mitä skeema ei tunne, tulee kenttään `unmapped`; mitään ei katoa.",
        "Only a part is known. What the schema does not know arrives in `unmapped`; nothing is lost.",
    ),
    "inferred": Text(
        "Päätelty muista lähteistä. Jos todellisuus poikkeaa, arvo tulee kenttään `unmapped`.",
        "Inferred from other sources. Where reality differs, the value arrives in `unmapped`.",
    ),
}
KEY: Final = {
    "person": Text("henkilötunnus tai sen pseudonyymi", "personal identity code, or its pseudonym"),
    "building": Text(
        "pysyvä rakennustunnus, kun tietueessa ei ole henkilötunnusta",
        "permanent building id, when the record has no identity code",
    ),
    "any": Text(
        "henkilötunnus tai rakennustunnus, jos se tunnetaan", "personal identity code or building id, if it is known"
    ),
}
ENVELOPE: Final = {  # the envelope's own docs are English, and part of every published schema
    "feed": "Syöte: yhden tietoluvan muutosvirta",
    "bucket": "Syötteen lohko: ne henkilöt, joilla on yhteinen kirjausavain",
    "cursor": "Kirjausavain sivun jälkeen (viimeisinKirjausavain); ei Kafkan offset",
    "fetchedAt": "Milloin sivu haettiin",
    "kind": "CHANGE: muutoksista; SNAPSHOT: perustiedoista; REPLAY: uudelleen kerrottu muutos",
    "recordId": "Sama yhden muutostietueen kaikilla tapahtumilla ja jokaisella hakukerralla",
    "recordSize": "Montako tietoryhmää muutostietueessa on",
    "personId": "Henkilötunnus, jolle tietue kirjattiin, tai sen pseudonyymi (docs/privacy.md)",
    "changedAt": "muutospv: milloin muutos kirjattiin; null, jos DVV ei kertonut sitä tai sitä ei voi lukea",
    "eventId": "Muodostettu kentästä recordId, ryhmän paikasta tietueessa ja avaimesta; sama jokaisella hakukerralla",
    "position": "Ryhmän paikka sivulla, kaikki tietueet laskien, nollasta; (cursor, position) järjestää tapahtumat",
    "group": "tietoryhma niin kuin DVV sen kirjoittaa",
    "changeType": "muutosattribuutti; null perustiedoissa; TUNTEMATON, kun sana on uusi (kentässä unmapped)",
    "data": "Ryhmän omat kentät; null vain, kun kaikki on jätetty pois",
    "inForce": "voimassaolevatTiedot: mikä on voimassa nyt; null, jos DVV ei kertonut sitä",
    "withheldFields": "turvakiellonAlaisetKentat: turvakiellon vuoksi pois jätetyt; null, jos DVV ei kertonut niitä",
    "unmapped": "Mille skeemassa ei ole paikkaa: polku → JSON-teksti. Polut: foo, huoltaja.foo, oikeudet[0].foo; "
    "../foo on muutostietueen kenttä, ../../foo sivun; nimi, jossa on muuta kuin kirjaimia, numeroita, _ ja -, on "
    "JSON-lainausmerkeissä",
}
TYPES: Final = {
    "string": Text("teksti", "text"),
    "int": Text("kokonaisluku", "whole number"),
    "long": Text("kokonaisluku, 64 bittiä", "whole number, 64 bits"),
    "boolean": Text("tosi tai epätosi", "true or false"),
    "date": Text("päivä", "day"),
    "timestamp-millis": Text("aikaleima (ms, UTC)", "time stamp (ms, UTC)"),
    "uuid": Text("tunniste (UUID)", "identifier (UUID)"),
    "enum": Text("yksi näistä", "one of these"),
    "map": Text("nimi–teksti-pareja", "pairs of name and text"),
}


def record_words(one: Shared) -> Text:
    """A shared record in words: what its doc says first."""
    return Text(*(re.split("[;:]", said)[0].replace(said[0], said[0].lower(), 1) for said in one.doc))
