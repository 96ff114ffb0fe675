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
# How many looks in a row may show that the scout or the writer is not there.
LOOKS = 30


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


def hear(agent, kind, sender):
    """The next message with facts of this kind; gives up when the sender is not (or no longer) there."""
    missing = 0
    while True:
        message = agent.wait_for_mention(LOOK_MS)
        if message is None:
            peer = agent.peers().get(sender, {})
            missing = 0 if peer.get("agentRunning") else missing + 1
            if missing >= (2 if hear.met else LOOKS):
                raise RuntimeError(f"{sender} has gone without a word.")
            continue
        hear.met = True
        hear.thread = message["threadId"]
        facts = facts_in(message["text"]) or {}
        if facts.get("kind") == "failed":
            raise GaveUp(f"{message['senderName']} gave up: {facts.get('reason')}")
        if facts.get("kind") == kind and message["senderName"] == sender:
            return facts


hear.met = False
hear.thread = None


def say(agent, sentences, facts, to):
    if hear.thread is None:
        hear.thread = agent.create_thread("trouble", to)["id"]
    agent.send(hear.thread, letter(sentences, facts), to)


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


def work(agent):
    survey = hear(agent, "survey", "scout")
    files = []
    for _ in range(survey["parts"]):
        files += hear(agent, "inventory", "scout")["files"]
    analysis = analyse(survey["root"], files)
    say(agent, sentences_about(analysis), analysis, ["writer"])
    hear(agent, "done", "writer")
    say(agent, "Count on me. Goodbye.", {"kind": "goodbye"}, ["writer"])


def main():
    # Being asked to stop is a good end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    agent = None
    try:
        agent = Agent()
        work(agent)
    except SessionOver:
        return 0
    except GaveUp as news:
        print(news, file=sys.stderr)
    except Exception as error:  # pylint: disable=broad-except
        reason = str(error) or type(error).__name__
        print(reason, file=sys.stderr)
        try:
            others = [name for name in TEAM if agent is not None and name != agent.name]
            say(agent, f"I have to give up: {reason}", {"kind": "failed", "reason": reason}, others)
        except Exception:  # pylint: disable=broad-except
            pass  # Nobody can be told; the exit code says it.
        return 1
    finally:
        if agent is not None:
            agent.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
