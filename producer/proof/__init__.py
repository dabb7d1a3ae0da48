"""The proof: what the ledger says against itself and against the topics. docs/ledger.md is what is compared."""
