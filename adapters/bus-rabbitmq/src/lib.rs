//! Events over rabbitmq.
