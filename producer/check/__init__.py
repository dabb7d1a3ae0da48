"""`vtj-producer check`: each link of the chain from the permit to Kafka, proved in the order of the onboarding."""
