"""The passages and questions of the demo for language models: a ferry that does not exist."""

from __future__ import annotations

SYSTEM = (
    "You answer questions about the ferry of Norvik. Answer with one sentence of the handbook, such as when the last"
    " ferry returns on Sundays, and do not guess."
)

PASSAGES: tuple[tuple[str, str, str], ...] = (
    ("When does the first ferry leave on weekdays?", "The first ferry on weekdays leaves at 6:40.", "6:40"),
    ("When does the last ferry return on Sundays?", "On Sundays the last ferry returns at 22:15.", "22:15"),
    ("How long does the crossing take?", "The crossing takes 55 minutes.", "55 minutes"),
    ("What does a ticket for an adult cost?", "A ticket for an adult costs 14 euros.", "14 euros"),
    ("What does a ticket for a child cost?", "A ticket for a child costs 6 euros.", "6 euros"),
    ("What is charged for a bicycle?", "A bicycle is charged 3 euros.", "3 euros"),
    ("What is charged for a car?", "A car is charged 32 euros.", "32 euros"),
    ("May a dog come aboard?", "A dog may come aboard on a leash.", "leash"),
    ("Where can I smoke?", "You can smoke on the upper deck.", "upper deck"),
    ("Where do I get coffee?", "You get coffee in the bar of deck two.", "bar"),
    ("Where is the lost property office?", "The lost property office is at pier three.", "pier three"),
    ("Where do wheelchairs board?", "Wheelchairs board through the side door.", "side door"),
    ("How do I cancel a booking?", "You cancel a booking by telephone.", "telephone"),
    ("How many passengers fit on the ship?", "The ship fits 320 passengers.", "320"),
    ("Which engine drives the ship?", "A diesel engine drives the ship.", "diesel"),
    ("Who built the vessel?", "The vessel was built by Harland.", "Harland"),
    ("When is the vessel in dry dock?", "The vessel is in dry dock in February.", "February"),
    ("What happens in a storm?", "In a storm all departures wait.", "wait"),
    ("How much luggage is free?", "Luggage up to 30 kilograms is free.", "30 kilograms"),
    ("Which cards do you accept?", "We accept all cards, but no cheques.", "cards"),
    ("Is there wireless internet?", "There is wireless internet in the lounge.", "lounge"),
    ("Where can I park a caravan?", "You can park a caravan behind the terminal.", "terminal"),
    ("Which bus goes to the harbour?", "Bus 41 goes to the harbour.", "41"),
    ("Do students get a discount?", "Students get a discount of a quarter.", "quarter"),
)
"""Question, passage, and what an answer must contain."""
