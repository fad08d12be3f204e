"""litellm as a client: as to an OpenAI server, and as to Anthropic."""
import json

import litellm

from report import MODELS, ORIGIN, report

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "The weather of a city", "parameters": SCHEMA}}
PLAIN = {"role": "user", "content": "How is the weather?"}
OF_ROME = {"role": "user", "content": "How is the weather in Rome?"}


def chat(prefix, base, model):
    common = {"model": f"{prefix}/{model}", "api_key": "sk-client", "api_base": base, "num_retries": 0, "max_tokens": 100}

    def whole(messages, **more):
        return litellm.completion(messages=messages, **common, **more)

    def streamed(messages, **more):
        chunks = list(litellm.completion(messages=messages, stream=True, stream_options={"include_usage": True}, **common, **more))
        return litellm.stream_chunk_builder(chunks, messages=messages)

    def with_result(message):
        (call,) = message.tool_calls
        return [OF_ROME, message.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "31 degrees"}]

    plain, plain_streamed = whole([PLAIN]), streamed([PLAIN])
    turn = whole([OF_ROME], tools=[TOOL]).choices[0].message
    streamed_turn = streamed([OF_ROME], tools=[TOOL]).choices[0].message
    return {
        "whole": plain.choices[0].message.content,
        "streamed": plain_streamed.choices[0].message.content,
        "asked": [json.loads(message.tool_calls[0].function.arguments) for message in (turn, streamed_turn)],
        "after": whole(with_result(turn), tools=[TOOL]).choices[0].message.content,
        "afterStreamed": streamed(with_result(streamed_turn), tools=[TOOL]).choices[0].message.content,
        "inputTokens": [plain.usage.prompt_tokens, plain_streamed.usage.prompt_tokens],
    }


for name in MODELS:
    report("litellm openai", name, lambda: chat("openai", f"{ORIGIN}/v1", name))
    report("litellm anthropic", name, lambda: chat("anthropic", ORIGIN, name))
