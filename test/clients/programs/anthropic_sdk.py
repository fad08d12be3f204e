"""Anthropic's Python library."""
from anthropic import Anthropic

from report import MODELS, ORIGIN, report

client = Anthropic(api_key="sk-client", base_url=ORIGIN, max_retries=0)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"name": "get_weather", "input_schema": SCHEMA}
PLAIN = {"role": "user", "content": "How is the weather?"}
OF_ROME = {"role": "user", "content": "How is the weather in Rome?"}


def messages(model):
    def streamed(given, **more):
        with client.messages.stream(model=model, max_tokens=100, messages=given, **more) as stream:
            return stream.get_final_message()

    def whole(given, **more):
        return client.messages.create(model=model, max_tokens=100, messages=given, **more)

    def text(message):
        return "".join(block.text for block in message.content if block.type == "text")

    def call(message):
        return [block for block in message.content if block.type == "tool_use"][0]

    def with_result(message):
        result = {"type": "tool_result", "tool_use_id": call(message).id, "content": "31 degrees"}
        said = {"type": "tool_use", "id": call(message).id, "name": call(message).name, "input": call(message).input}
        return [OF_ROME, {"role": "assistant", "content": [said]}, {"role": "user", "content": [result]}]

    plain, plain_streamed = whole([PLAIN]), streamed([PLAIN])
    turn, streamed_turn = whole([OF_ROME], tools=[TOOL]), streamed([OF_ROME], tools=[TOOL])
    return {
        "whole": text(plain),
        "streamed": text(plain_streamed),
        "asked": [call(turn).input, call(streamed_turn).input],
        "after": text(whole(with_result(turn), tools=[TOOL])),
        "afterStreamed": text(streamed(with_result(streamed_turn), tools=[TOOL])),
        "inputTokens": [plain.usage.input_tokens, plain_streamed.usage.input_tokens],
    }


for name in MODELS:
    report("anthropic (Python)", name, lambda: messages(name))
