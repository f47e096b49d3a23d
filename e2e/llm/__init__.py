"""One text that every language model of this suite says, and the models that say it.

A small Llama whose weights are a table of which token follows which: a real
server serves it, tokenizer and all, and says the same words as the doubles.
"""
