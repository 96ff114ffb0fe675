import os

from coral import Agent


def answer(question):
    """This is where your agent's own work goes."""
    return f"That question has {len(question.split())} words."


agent = Agent()
question = os.environ.get("ASK", "")

if question:
    # With a question of its own it begins the conversation and closes the session with what it was told.
    partner = os.environ["PARTNER"]
    thread = agent.create_thread("question", [partner])
    agent.send(thread["id"], question, [partner])
    reply = agent.wait_for_message(sender=partner)
    agent.close_session("The question was answered.", reply["text"])
else:
    # Without one it answers everybody who mentions it, until its session ends.
    while True:
        message = agent.wait_for_mention()
        agent.send(message["threadId"], answer(message["text"]), [message["senderName"]])
