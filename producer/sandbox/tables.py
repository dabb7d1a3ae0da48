"""The tables of the register: kinds of groups, what a turvakielto withholds, and invented names and places."""

from collections.abc import Mapping
from typing import Any, Final

# The order of kinds in an answer of perustiedot (observed: the same for every person).
_ORDER = """
HENKILOTUNNUS_KORJAUS AIDINKIELI SUKUPUOLI HENKILON_NIMI NIMENMUUTOS NIMENMUUTOS_LAAJA KANSALAISUUS SYNTYMAKOTIKUNTA
ULKOMAINEN_SYNTYMAPAIKKA SIVIILISAATY HENKILOMATRIKKELIKIELTO KUOLINPAIVA KUOLLEEKSIJULISTAMISPAIVA SUKUTUTKIMUSKIELTO
SUORAMARKKINOINTIKIELTO TURVAKIELTO YHTEYSTIETOJEN_LUOVUTUSKIELTO ASIAKASREKISTERIN_PAIVITYSKIELTO SYNTYMAPAIVA
VAKINAINEN_KOTIMAINEN_OSOITE TILAPAINEN_KOTIMAINEN_OSOITE KOTIMAINEN_POSTIOSOITE VAKINAINEN_ULKOMAINEN_OSOITE
TILAPAINEN_ULKOMAINEN_OSOITE ULKOMAINEN_POSTIOSOITE KOTIKUNTA EDELLINEN_KOTIKUNTA TILAPAINEN_KUNTA
VUODENVAIHTEEN_KUNTA POISSAOLO SUOMEEN_MUUTTOPAIVA VALTIO_JOHON_MUUTTANUT VAESTOKIRJANPITOKUNTA
VAKINAINEN_KOTIMAINEN_ASUINPAIKKATUNNUS EDELLINEN_KOTIMAINEN_ASUINPAIKKATUNNUS LAPSI HUOLLETTAVA
TILAPAINEN_KOTIMAINEN_ASUINPAIKKATUNNUS VAKINAINEN_OLINPAIKASSA_ASUMINEN VAKINAINEN_ULKOMAILLA_ASUMINEN
ENTINEN_OLINPAIKASSA_ASUMINEN REKISTEROITY_PARISUHDE TILAPAINEN_OLINPAIKASSA_ASUMINEN TILAPAINEN_ULKOMAILLA_ASUMINEN
USKONTOKUNTA HISTORIAA_USKONTOKUNNASTA VANHEMPI HUOLTAJA PERHESUHDE LAPSI_SUPPEA AVIOLIITTO HUOLLETTAVA_SUPPEA
HUOLLETTAVA_RAJOITETTU VANHEMPI_SUPPEA HUOLTAJA_SUPPEA HUOLTAJA_RAJOITETTU JARJESTYSKIRJAIN USKONTOKUNTALAJI
ASIOINTIKIELI SAHKOPOSTIOSOITE ULKOMAINEN_HENKILOTUNNUS KUTSUMANIMI REKISTERIVIRANOMAINEN
LAPSEN_REKISTEROINNIN_LISATIEDOT MAASTAMUUTON_LISATIEDOT_PUOLISOSTA MAASTAMUUTON_LISATIEDOT_VANHEMMASTA
MAASTAMUUTON_LISATIEDOT_HUOLTAJASTA
HIEKKALAATIKON_UUSI_RYHMA
"""
ORDER: Final = tuple(_ORDER.split())

# What the stories tell of; further.py does the rest.
_TOLD = """
AIDINKIELI AVIOLIITTO EDELLINEN_KOTIKUNTA EDELLINEN_KOTIMAINEN_ASUINPAIKKATUNNUS HENKILON_NIMI HENKILOTUNNUS_KORJAUS
HUOLLETTAVA HUOLLETTAVA_RAJOITETTU HUOLLETTAVA_SUPPEA HUOLTAJA HUOLTAJA_RAJOITETTU HUOLTAJA_SUPPEA KANSALAISUUS
KOTIKUNTA KOTIMAINEN_POSTIOSOITE KUOLINPAIVA KUOLLEEKSIJULISTAMISPAIVA KUTSUMANIMI LAPSI LAPSI_SUPPEA NIMENMUUTOS
NIMENMUUTOS_LAAJA SAHKOPOSTIOSOITE SIVIILISAATY SYNTYMAPAIVA TURVAKIELTO VAESTOKIRJANPITOKUNTA
VAKINAINEN_KOTIMAINEN_ASUINPAIKKATUNNUS VAKINAINEN_KOTIMAINEN_OSOITE VANHEMPI VANHEMPI_SUPPEA
"""
TOLD: Final = frozenset(_TOLD.split())

# What a turvakielto withholds. The whole set comes for every protected person, also for data that the person does
# not have, so that its presence tells nothing. Names, relations and history are not withheld.
_STREET = (
    "katunimi katunumero huoneistokirjain huoneistonumero jakokirjain postinumero postitoimipaikka rakennustunnus "
    "osoitenumero kuntakoodi"
)
_DWELLING = "rakennustunnus osoitenumero huoneistokirjain huoneistonumero jakokirjain kuntakoodi asuinpaikantunnus"
PROTECTED: Final[Mapping[str, list[str]]] = {
    kind: fields.split()
    for kind, fields in {
        "VAKINAINEN_KOTIMAINEN_OSOITE": _STREET,
        "TILAPAINEN_KOTIMAINEN_OSOITE": _STREET,
        "KOTIMAINEN_POSTIOSOITE": "postiosoite postinumero postitoimipaikka",
        "VAKINAINEN_ULKOMAINEN_OSOITE": "lahiosoite paikkakunta valtiokoodi valtionimi",
        "TILAPAINEN_ULKOMAINEN_OSOITE": "lahiosoite paikkakunta valtiokoodi valtionimi",
        "ULKOMAINEN_POSTIOSOITE": "postiosoite postiosoiteLisarivi postitoimipaikka valtiokoodi valtionimi",
        "KOTIKUNTA": "kuntakoodi kuntaanMuuttopv",
        "TILAPAINEN_KUNTA": "kuntakoodi kuntaanMuuttopv kunnastaPoisMuuttopv",
        "VUODENVAIHTEEN_KUNTA": "kuntakoodi vuodenvaihde",
        "VAKINAINEN_KOTIMAINEN_ASUINPAIKKATUNNUS": _DWELLING,
        "TILAPAINEN_KOTIMAINEN_ASUINPAIKKATUNNUS": _DWELLING,
        "VAKINAINEN_OLINPAIKASSA_ASUMINEN": "kuntakoodi lajikoodi numero laitos asuinpaikantunnus",
        "VAKINAINEN_ULKOMAILLA_ASUMINEN": "valtiokoodi asuinpaikantunnus",
        "TILAPAINEN_OLINPAIKASSA_ASUMINEN": "kuntakoodi lajikoodi numero laitos asuinpaikantunnus",
        "TILAPAINEN_ULKOMAILLA_ASUMINEN": "valtiokoodi asuinpaikantunnus",
        "SAHKOPOSTIOSOITE": "sahkopostiosoite lajikoodi",
    }.items()
}

# Invented, and plainly so. The pairs are the plain and the full repertoire (…UTF8) of one name.
FIRST_NAMES: Final = {
    "NAINEN": ("Aino", "Helmi", "Kaisa Maria", "Eeva-Liisa", "Sisko", "Linnéa", "Märta", "Päivi", "Ylva", "Oili"),
    "MIES": ("Eero", "Väinö", "Otto Juhani", "Antti-Pekka", "Göran", "Ilmari", "Åke", "Timo", "Veli", "Reko"),
}
_SURNAMES = "Koivu Mänty Järvi Lehto Salmi Vuori Niitty Räty Hölmö Saari Haapa Kivi Åsen Pöllö Korpi"
SURNAMES: Final = (
    *((f"{name}testi", f"{name}testi") for name in _SURNAMES.split(" ")),
    ("Saric-Testi", "Šarić-Testi"),
    ("Nguyen-Testi", "Nguyễn-Testi"),
)
STREETS: Final = (
    ("Keksitynkatu", "Påhittsgatan"),
    ("Hiekkalaatikontie", "Sandlådsvägen"),
    ("Esimerkinpolku", "Exempelstigen"),
    ("Testaajankuja", "Testargränden"),
    ("Näytepolku", "Provstigen"),
    ("Mallitie", None),
    (None, "Övningsvägen"),
)
MUNICIPALITIES: Final = {  # kuntakoodi: first digits of the postal code, name in Finnish and Swedish
    "091": ("00", "HELSINKI", "HELSINGFORS"),
    "049": ("02", "ESPOO", "ESBO"),
    "092": ("01", "VANTAA", "VANDA"),
    "179": ("40", "JYVÄSKYLÄ", None),
    "297": ("70", "KUOPIO", None),
    "445": ("21", "PARAINEN", "PARGAS"),
    "564": ("90", "OULU", "ULEÅBORG"),
    "698": ("96", "ROVANIEMI", None),
    "837": ("33", "TAMPERE", "TAMMERFORS"),
    "853": ("20", "TURKU", "ÅBO"),
    "905": ("65", "VAASA", "VASA"),
}
KUNTA_CODES: Final = tuple(MUNICIPALITIES)
_FINNISH = {"kielikoodi": "fi", "kielikoodiISO6392": "fin"}
LANGUAGES: Final = (
    *(_FINNISH, _FINNISH, _FINNISH),
    {"kielikoodi": "sv", "kielikoodiISO6392": "swe"},
    {"kielikoodi": "98", "kielikoodiISO6392": "fse", "nimi": "suomalainen viittomakieli"},
    {"kielikoodi": "iw", "kielikoodiISO6392": "heb"},
)
COUNTRIES: Final = ("152", "233", "276", "578", "752", "840")

# Custody comes in three widths, and on both sides: the fields of each, and what is told of a change alone. That is seen
# of a child's custodians; of the children in somebody's custody the narrower kind alone, and of it the lists.
_WHOLE = ("huoltajanLaji", "huoltajanRooli", "huoltosuhteenAlkupv", "huoltosuhteenLoppupv", "oikeudet")
_NARROW = ("huoltajanRooli", "huoltosuhteenAlkupv", "huoltosuhteenLoppupv")
_RIGHTS: Final[Mapping[str, Any]] = {"lisatytOikeudet": [], "poistetutOikeudet": [], "muutetutOikeudet": []}
_FLAGS: Final[Mapping[str, Any]] = {
    "huoltosuhteenMuutos": False,
    "huollonOikeudenMuutos": False,
    "huollonAsumisenMuutos": False,
}
Side = Mapping[str, tuple[tuple[str, ...], Mapping[str, Any]]]
CUSTODIANS: Final[Side] = {
    "HUOLTAJA": (_WHOLE, {**_RIGHTS, **_FLAGS}),
    "HUOLTAJA_SUPPEA": (_WHOLE, {**_RIGHTS, **_FLAGS}),
    "HUOLTAJA_RAJOITETTU": (_NARROW, {}),
}
WARDS: Final[Side] = {
    "HUOLLETTAVA": (_WHOLE, {}),
    "HUOLLETTAVA_SUPPEA": (_WHOLE, _RIGHTS),
    "HUOLLETTAVA_RAJOITETTU": (_NARROW, {}),
}
