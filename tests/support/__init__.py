"""What the tests share: named builders, servers on the loopback, sensors that are made up."""
