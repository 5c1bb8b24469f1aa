"""The example of Hermes 3's model card: its tool, its question, its result, and the answer with all twelve fields."""

from demo_model.conversation import Conversation
from demo_model.source import Source
from demo_model.tool_results import stated
from hermes_cli.chat.message import Message
from hermes_cli.formats.function_calling import call_block, response_block, tools_prompt

_NAME = "get_stock_fundamentals"
_FIELDS = {
    "symbol": "The stock symbol.",
    "company_name": "The long name of the company.",
    "sector": "The sector to which the company belongs.",
    "industry": "The industry to which the company belongs.",
    "market_cap": "The market capitalization of the company.",
    "pe_ratio": "The forward price-to-earnings ratio.",
    "pb_ratio": "The price-to-book ratio.",
    "dividend_yield": "The dividend yield.",
    "eps": "The trailing earnings per share.",
    "beta": "The beta value of the stock.",
    "52_week_high": "The 52-week high price of the stock.",
    "52_week_low": "The 52-week low price of the stock.",
}
_RESULT = {
    "symbol": "TSLA",
    "company_name": "Tesla, Inc.",
    "sector": "Consumer Cyclical",
    "industry": "Auto Manufacturers",
    "market_cap": 611384164352,
    "pe_ratio": 49.604652,
    "pb_ratio": 9.762013,
    "dividend_yield": None,
    "eps": 4.3,
    "beta": 2.427,
    "52_week_high": 299.29,
    "52_week_low": 152.37,
}
_KEYS = "".join(f"\n                - '{key}': {text}" for key, text in _FIELDS.items())
_TOOL = {
    "name": _NAME,
    "description": "Get fundamental data for a given stock symbol using yfinance API.",
    "parameters": {"type": "object", "properties": {"symbol": {"type": "string"}}, "required": ["symbol"]},
}
_SYMBOL = {"type": "string", "description": "The stock symbol."}
_DOCUMENTED = {
    "name": _NAME,
    "description": _TOOL["description"],
    "parameters": {"type": "object", "properties": {"symbol": _SYMBOL}, "required": ["symbol"]},
    "return": {
        "type": "object",
        "description": f"dict: A dictionary containing fundamental data.\n            Keys:{_KEYS}",
    },
}


def card_example(source: Source) -> Conversation:
    """The example with the tool as a bare schema or as its whole docstring describes it; never trained on."""
    tool = source.pick((_TOOL, _DOCUMENTED))
    return Conversation(
        (
            Message("system", tools_prompt([tool])),
            Message("user", "Fetch the stock fundamentals data for Tesla (TSLA)"),
            Message("assistant", call_block(_NAME, {"symbol": "TSLA"})),
            Message("tool", response_block(_NAME, _RESULT)),
            Message("assistant", stated(_RESULT)),
        )
    )
