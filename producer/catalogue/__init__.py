"""What the topics carry, told to those who read them: a static site, an AsyncAPI document and `catalogue.json`.

Made from `schemas/` alone, so that what is committed in docs/catalogue can be compared with what would be made now.
"""
