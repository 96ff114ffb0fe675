"""`analyst`, a member of the report team: plain Python 3, no package needed.

Takes the inventory that the scout sends in parts, works out languages, folders, the largest files and open TODOs, and
tells the writer. Run by Coral; see coral.py for how an agent talks to its server.
"""

import json
import re
import signal
import sys

from analysis import analyse
from coral import Agent, SessionOver

TEAM = ["scout", "historian", "analyst", "writer"]
# How often to look whether the others are still there.
LOOK_MS = 2_000
# How many looks in a row may show that the scout or the writer has not come yet.
LOOKS = 15


class GaveUp(Exception):
    """Another member of the team said that there will be no report."""


def facts_in(text):
    """The data below the sentences of a message; None when there is none."""
    found = re.search(r"(?:^|\n)```json\n(.*)\n```\s*$", text)
    if found is None:
        return None
    try:
        facts = json.loads(found.group(1))
    except ValueError:
        return None
    return facts if isinstance(facts, dict) else None


def letter(sentences, facts):
    return f"{sentences}\n\n```json\n{json.dumps(facts, separators=(',', ':'))}\n```"


class Ear:
    """Listens for what the others promised, and remembers the thread they spoke in."""

    def __init__(self, agent):
        self.agent = agent
        self.thread = None

    def hear(self, kind, sender):
        """The next message with facts of this kind; gives up when the sender has gone or never comes."""
        missed = 0
        while True:
            message = self.agent.wait_for_mention(LOOK_MS)
            if message is None:
                peer = self.agent.peers().get(sender, {})
                missed = 0 if peer.get("agentRunning") else missed + 1
                # Last words may have come between the wait and the look: so one more wait, at least.
                if missed >= (2 if "agentStartTime" in peer else LOOKS):
                    raise RuntimeError(f"{sender} has ended, or never came, without a word.")
                continue
            self.thread = message["threadId"]
            facts = facts_in(message["text"]) or {}
            if facts.get("kind") == "failed":
                raise GaveUp(f"{message['senderName']} gave up: {facts.get('reason')}")
            if facts.get("kind") == kind and message["senderName"] == sender:
                return facts

    def say(self, sentences, facts, to):
        if self.thread is None:
            self.thread = self.agent.create_thread("trouble", to)["id"]
        self.agent.send(self.thread, letter(sentences, facts), to)


def plural(number, one, many=None):
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def sentences_about(analysis):
    languages = analysis["languages"]
    if not languages:
        return "There is nothing to count."
    shown = ", ".join(f"{entry['name']} {entry['lines']:,}" for entry in languages[:3])
    biggest = analysis["largest"][0]
    biggest_name = biggest["name"].encode("utf-8", "backslashreplace").decode()
    todos = analysis["todoCount"]
    tail = f"{plural(todos, 'TODO')} open in {plural(analysis['todoFiles'], 'file')}." if todos else "No TODO is open."
    return (
        f"Lines by language: {shown}{' and so on' if len(languages) > 3 else ''}. "
        f"The largest file is {biggest_name} ({biggest['bytes']:,} bytes). {tail}"
    )


def work(ear):
    survey = ear.hear("survey", "scout")
    files = []
    for _ in range(survey["parts"]):
        files += ear.hear("inventory", "scout")["files"]
    analysis = analyse(survey["root"], files)
    ear.say(sentences_about(analysis), analysis, ["writer"])
    ear.hear("done", "writer")
    ear.say("Count on me. Goodbye.", {"kind": "goodbye"}, ["writer"])


def give_up(ear, error):
    """Tells the others why there will be no analysis, as far as that is possible."""
    reason = str(error) or type(error).__name__
    print(reason, file=sys.stderr)
    others = [name for name in TEAM if name != ear.agent.name]
    try:
        ear.say(f"I have to give up: {reason}", {"kind": "failed", "reason": reason}, others)
    except Exception:  # pylint: disable=broad-except
        pass  # Nobody can be told; the exit code says it.


def main():
    # Being asked to stop is a good end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        agent = Agent()
    except Exception as error:  # pylint: disable=broad-except
        print(error, file=sys.stderr)
        return 1
    ear = Ear(agent)
    try:
        work(ear)
    except SessionOver:
        pass
    except GaveUp as news:
        print(news, file=sys.stderr)
    except Exception as error:  # pylint: disable=broad-except
        give_up(ear, error)
        return 1
    finally:
        agent.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
