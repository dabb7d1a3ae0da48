"""`vtj-producer demo`: the real pipeline between the sandbox and a broker, shown while it works, checked at the end."""
