"""What every language model of this suite says, and in which pieces.

It is the demo's text, with an address, a card's number and a security number in
it (of nobody: see demo/models/tokens_text.go), each cut by the borders of
pieces. A piece is a token: no two are the same, so that each has its successor.
"""

TEXT = (
    "Thank you for calling. I have found the customer's record and can read it back to you now. "
    "The contact on file is jane.doe@example.com, which was confirmed in the spring. "
    "The last order was paid with the card 4111 1111 1111 1111, and the payment went through. "
    "For the tax form we have the number 536-90-4399 from last year. "
    "Is there anything in this record that you would like me to change?"
)

# Each of these lies in several pieces.
SECRETS = ("jane.doe@example.com", "4111 1111 1111 1111", "536-90-4399")


def masked(text=TEXT):
    """The text as those see it to whom the secrets are redacted."""
    for secret, word in zip(SECRETS, ("[EMAIL]", "[CARD]", "[SSN]"), strict=True):
        text = text.replace(secret, word)
    return text


# A prompt that ends so is answered without an end: tick tock tick tock ...
ENDLESS = "~"
TICKS = (" tick", " tock")


def cut(text, widths=(4, 3, 6, 2, 5)):
    """Cuts text into pieces of these widths, over and over; one that was there already gets longer."""
    pieces = []
    while text:
        width = widths[len(pieces) % len(widths)]
        while text[:width] in pieces:
            width += 1
        pieces.append(text[:width])
        text = text[width:]
    return pieces


PIECES = cut(TEXT)
