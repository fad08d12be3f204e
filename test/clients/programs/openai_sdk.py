"""OpenAI's Python library: chat completions and responses."""
import json

from openai import OpenAI

from report import MODELS, ORIGIN, report

client = OpenAI(api_key="sk-client", base_url=f"{ORIGIN}/v1", max_retries=0)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
CHAT_TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
RESPONSES_TOOL = {"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": True}
PLAIN = {"role": "user", "content": "How is the weather?"}
OF_ROME = {"role": "user", "content": "How is the weather in Rome?"}


def chat(model):
    def streamed(messages, **more):
        with client.chat.completions.stream(
            model=model, messages=messages, stream_options={"include_usage": True}, **more
        ) as stream:
            return stream.get_final_completion()

    def with_result(message):
        (call,) = message.tool_calls
        said = {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": call.function.arguments}}
            ],
        }
        return [OF_ROME, said, {"role": "tool", "tool_call_id": call.id, "content": "31 degrees"}]

    whole = client.chat.completions.create(model=model, messages=[PLAIN])
    stream = streamed([PLAIN])
    turn = client.chat.completions.create(model=model, messages=[OF_ROME], tools=[CHAT_TOOL]).choices[0].message
    streamed_turn = streamed([OF_ROME], tools=[CHAT_TOOL]).choices[0].message
    after = client.chat.completions.create(model=model, messages=with_result(turn), tools=[CHAT_TOOL])
    after_streamed = streamed(with_result(streamed_turn), tools=[CHAT_TOOL])
    return {
        "whole": whole.choices[0].message.content,
        "streamed": stream.choices[0].message.content,
        "asked": [json.loads(message.tool_calls[0].function.arguments) for message in (turn, streamed_turn)],
        "after": after.choices[0].message.content,
        "afterStreamed": after_streamed.choices[0].message.content,
        "inputTokens": [whole.usage.prompt_tokens, stream.usage.prompt_tokens],
    }


def responses(model):
    def streamed(given, **more):
        with client.responses.stream(model=model, input=given, **more) as stream:
            return stream.get_final_response()

    def with_result(response):
        (call,) = [item for item in response.output if item.type == "function_call"]
        said = {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments}
        return [OF_ROME, said, {"type": "function_call_output", "call_id": call.call_id, "output": "31 degrees"}]

    def arguments(response):
        return [json.loads(item.arguments) for item in response.output if item.type == "function_call"][0]

    whole = client.responses.create(model=model, input=[PLAIN])
    stream = streamed([PLAIN])
    turn = client.responses.create(model=model, input=[OF_ROME], tools=[RESPONSES_TOOL])
    streamed_turn = streamed([OF_ROME], tools=[RESPONSES_TOOL])
    return {
        "whole": whole.output_text,
        "streamed": stream.output_text,
        "asked": [arguments(turn), arguments(streamed_turn)],
        "after": client.responses.create(model=model, input=with_result(turn), tools=[RESPONSES_TOOL]).output_text,
        "afterStreamed": streamed(with_result(streamed_turn), tools=[RESPONSES_TOOL]).output_text,
        "inputTokens": [whole.usage.input_tokens, stream.usage.input_tokens],
    }


for name in MODELS:
    report("openai (Python) chat", name, lambda: chat(name))
    report("openai (Python) responses", name, lambda: responses(name))
