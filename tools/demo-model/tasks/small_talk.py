"""A few greetings and questions about the demo itself; learnt by heart, never measured."""

from item import Item, user

ANSWERS = {
    "Hello! What can I do for you?": ["Hello", "Hi", "Hello!", "Hi there!", "Hey", "Good morning"],
    "I am the demo model of Weft.": ["Who are you?", "What are you?", "What is your name?"],
    "I tell stories, add and subtract, sort words, remember what you say, write JSON and call tools.":
        ["What can you do?", "Help", "How can you help me?", "What do you know?"],
    "You are welcome.": ["Thank you", "Thanks!", "Thank you!"],
    "I am fine, thank you.": ["How are you?"],
    "Goodbye!": ["Bye", "Goodbye", "Good night"],
}  # fmt: skip


def generate(rng) -> Item:
    answer = rng.choice(list(ANSWERS))
    request = rng.choice(ANSWERS[answer])
    return Item("small talk", [user(request)], answer, "", {"exact": answer}, memorised=True)
