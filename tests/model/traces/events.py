"""The lines of a trace (docs/protocol.md, "Trace"), and those of one seed as the checks want them."""


class Event:
    """One line: virtual time, node, what happened, and its fields as text."""

    __slots__ = ("time", "node", "name", "fields", "line")

    def __init__(self, line):
        words = line.split()
        self.line = line
        self.time, self.node, self.name = words[0], words[1], words[2]
        self.fields = dict([word.split("=", 1) for word in words[3:]])

    def number(self, field):
        return int(self.fields[field])

    def hexadecimal(self, field):
        return int(self.fields[field], 16)

    def items(self, field):
        text = self.fields[field]
        return text.split(",") if text else []


def read_seeds(path):
    """Yields the lines of one seed after the other."""
    lines = []
    with open(path, encoding="ascii") as trace:
        for line in trace:
            line = line.rstrip("\n")
            if " - seed " in line and lines:
                yield lines
                lines = []
            lines.append(line)
    if lines:
        yield lines
