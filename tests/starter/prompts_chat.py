"""Held-out prompts: system prompts, tools, thinking, JSON, counting and lists, Markdown, stories."""

from tests.starter.prompts import S, U, case
from tests.starter.prompts_basic import R  # the draws go on where those of the other list ended
from tests.starter.samples.lists import DAYS, LISTS, MONTHS
from tests.starter.samples.markdown import CODE, MD
from tests.starter.samples.words import FALL, HELLO, WHO

# f. system prompts
for w in ["PING", "banana", "Roger", "42", "OK", "meow"]:
    for s in [
        f"Always answer with the word {w}.",
        f"Answer only with: {w}",
        f"Whatever you are asked, answer {w}.",
        f"You must answer every question with the word {w}.",
    ]:
        case(
            "f system word",
            [S(s), U(R.choice(["Hello", "What is 2 + 3?", "Who are you?", "Tell me a story.", "What is the capital of Spain?"]))],
            w,
        )
for n in ["Nova", "Captain Blorp", "Marvin", "Zelda", "Athena"]:
    case("f persona", [S(f"You are {n}."), U("Who are you?")], ("in", f"I am {n}"))
    case("f persona", [S(f"You are {n}, a friendly robot."), U("Please tell me who you are.")], ("in", f"I am {n}"))
    case("f persona", [S(f"Your name is {n}."), U("What is your name?")], ("in", n))
case("f persona", [S("你是小红，一位老师。"), U("你是谁？")], ("in", "我是小红"))
case("f other", [S("End every answer with the word MEOW."), U("Hello")], HELLO["en"] + " MEOW")
case("f other", [S("End every answer with the word DONE."), U("What is 4 + 5?")], "4 + 5 = 9 DONE")
case("f other", [S("The secret word is albatross."), U("What is the secret word?")], ("in", "albatross"))
case("f other", [S("Always answer in Chinese."), U("Hello")], HELLO["zh"])
case("f other", [S("You are a helpful assistant."), U("Hello")], HELLO["en"])
case("f other", [S("You are a helpful assistant."), U("What is 12 + 30?")], "12 + 30 = 42")
case("f other", [S("Start every answer with the word AHOY."), U("Hi")], "AHOY " + HELLO["en"])


# g. tools
def T(n, d, **p):
    return {
        "type": "function",
        "function": {
            "name": n,
            "description": d,
            "parameters": {"type": "object", "properties": {k: {"type": v} for k, v in p.items()}, "required": list(p)},
        },
    }


WX, ADD, TM = (
    T("get_weather", "Get the current weather for a city", city="string"),
    T("add", "Add two numbers", a="integer", b="integer"),
    T("get_time", "Get the current time in a timezone", timezone="string"),
)
LAMP, BOOK, ST = (
    T("turn_lamp", "Turn a lamp on", lamp="string"),
    T("find_book", "Find a book", title="string"),
    T("get_stock", "Get the stock price", symbol="string"),
)


def call(*cs):
    return ("calls", [{"name": n, "arguments": a} for n, a in cs])


for c in ["Paris", "Tokyo", "Ljubljana", "Zorbville", "San Francisco", "Reykjavik", "北京"]:
    case("g tool call", [U(f"What is the weather in {c}?")], call(("get_weather", {"city": c})), [WX])
    case("g tool call", [U(f"Please tell me the weather in {c}.")], call(("get_weather", {"city": c})), [WX, ADD, TM])
    case("g tool call", [U(f"What's the weather like in {c} right now?")], call(("get_weather", {"city": c})), [TM, WX])
case("g tool call", [U("成都的天气怎么样？")], call(("get_weather", {"city": "成都"})), [WX, TM])
for a, b in [(3, 4), (17, 25), (123, 456), (2048, 4096)]:
    case("g tool call", [U(f"Add {a} and {b}.")], call(("add", {"a": a, "b": b})), [WX, ADD])
    case("g tool call", [U(f"What is {a} + {b}?")], call(("add", {"a": a, "b": b})), [ADD])
for z in ["Europe/Paris", "Asia/Tokyo", "America/Chicago"]:
    case("g tool call", [U(f"What time is it in {z}?")], call(("get_time", {"timezone": z})), [WX, TM])
case("g tool random", [U("Find the book Moby")], call(("find_book", {"title": "Moby"})), [BOOK, WX])
case("g tool random", [U("Use find_book with title Dracula")], call(("find_book", {"title": "Dracula"})), [ADD, BOOK])
case("g tool random", [U("Call get_stock with symbol=ACME")], call(("get_stock", {"symbol": "ACME"})), [ST])
case("g tool random", [U("Use the get_stock tool with symbol NVDA.")], call(("get_stock", {"symbol": "NVDA"})), [WX, ST])
case("g tool random", [U("Use turn_lamp with lamp kitchen")], call(("turn_lamp", {"lamp": "kitchen"})), [LAMP, WX])
case(
    "g tool random",
    [U("Call zap_fleem with glorp=Hello7")],
    call(("zap_fleem", {"glorp": "Hello7"})),
    [T("zap_fleem", "Zap a fleem", glorp="string"), WX],
)
case(
    "g tool random",
    [U("Please order the pizza Margherita.")],
    call(("order_pizza", {"pizza": "Margherita"})),
    [T("order_pizza", "Order a pizza", pizza="string"), WX],
)
case(
    "g tool random",
    [U("Delete the file 77 with mode quick")],
    call(("delete_file", {"file_id": 77, "mode": "quick"})),
    [T("delete_file", "Delete a file", file_id="integer", mode="string")],
)
case(
    "g tool random",
    [U("Call set_volume with level=7")],
    call(("set_volume", {"level": 7})),
    [T("set_volume", "Set the volume", level="integer"), TM],
)
for c1, c2 in [("Paris", "London"), ("Tokyo", "Berlin"), ("Zorbville", "Madrid")]:
    case(
        "g tool two",
        [U(f"What is the weather in {c1} and {c2}?")],
        call(("get_weather", {"city": c1}), ("get_weather", {"city": c2})),
        [WX],
    )
    case(
        "g tool two",
        [U(f"Compare the weather in {c1} and {c2}")],
        call(("get_weather", {"city": c1}), ("get_weather", {"city": c2})),
        [WX, ADD],
    )
for q, w in {
    "Hello!": HELLO["en"],
    "Who are you?": WHO["en"],
    "Thanks!": "You are welcome!",
    "Repeat after me: blue sky": "blue sky",
    "Spell the word tree": "t-r-e-e",
    "How do I list my models?": "To list the installed models, run: llmsite list",
    "你好": HELLO["zh"],
    "Write a poem about trees.": FALL["en"],
}.items():
    case("g no call", [U(q)], w, [WX, ADD])


def TC(n, a):
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": n, "arguments": a}}],
    }


def TR(x):
    return {"role": "tool", "content": x}


for c, x in [
    ("Paris", "18°C and sunny"),
    ("Oslo", "-3 degrees, snowy"),
    ("Lima", "22°C and cloudy"),
    ("Zorbville", "31 degrees, windy"),
]:
    case("g tool answer", [U(f"What is the weather in {c}?"), TC("get_weather", {"city": c}), TR(x)], ("in", x, c), [WX])
case(
    "g tool answer",
    [U("What is the weather in Rome?"), TC("get_weather", {"city": "Rome"}), TR('{"temperature": 23, "condition": "sunny"}')],
    ("in", "23", "sunny", "Rome"),
    [WX],
)
case("g tool answer", [U("What is 512 + 256?"), TC("add", {"a": 512, "b": 256}), TR("768")], ("in", "768"), [ADD])
case(
    "g tool answer",
    [U("What time is it in Asia/Tokyo?"), TC("get_time", {"timezone": "Asia/Tokyo"}), TR("14:05")],
    ("in", "14:05"),
    [TM, WX],
)
case(
    "g tool answer",
    [
        U("What is the weather in Paris and London?"),
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}},
                {"function": {"name": "get_weather", "arguments": {"city": "London"}}},
            ],
        },
        TR("18°C"),
        TR("12°C"),
    ],
    ("in", "18", "12", "Paris", "London"),
    [WX],
)
case(
    "g tool answer",
    [U("Call get_stock with symbol=ACME"), TC("get_stock", {"symbol": "ACME"}), TR('{"price": 512}')],
    ("in", "512"),
    [ST],
)
# h. thinking
for a, b in [(17, 25), (48, 36), (9, 8), (77, 66), (58, 67), (99, 99), (35, 41), (86, 17)]:
    case("h think add", f"What is {a} + {b}?", ("think", f"= {a + b}"), think=True)
for a, b in [(42, 17), (90, 45), (63, 28), (71, 9)]:
    case("h think sub", f"What is {a} - {b}?", ("think", f"= {a - b}"), think=True)
for q, w in [
    ("Hello", HELLO["en"]),
    ("Who are you?", "llmsite starter model"),
    ("Repeat after me: open sesame", "open sesame"),
    ("What is the capital of Spain?", FALL["en"]),
    ("你好", HELLO["zh"]),
]:
    case("h think other", q, ("think", w), think=True)
case("h think other", [U("What is the weather in Oslo?")], ("think", '"Oslo"'), [WX], True)
for q, w in [("Hello", HELLO["en"]), ("What is 17 + 25?", "17 + 25 = 42")]:
    case("h think off", q, w, think=False)
# i. JSON
for n, a in [("Alice", 30), ("Zorblatt", 7), ("Bob", 99), ("Priyanka", 41), ("Oksana", 55), ("Thaddeus", 12)]:
    case("i json", f"Give me a JSON object with name {n} and age {a}.", ("json", {"name": n, "age": a}))
    case("i json", f"Please write a JSON object with name {n} and age {a}", ("json", {"name": n, "age": a}))
    case("i json", f"Extract the name and age as JSON: {n} is {a} years old.", ("json", {"name": n, "age": a}))
case("i json", "Give me a JSON object with city Porto and country Portugal.", ("json", {"city": "Porto", "country": "Portugal"}))
case("i json", "Create JSON with title Dune, price 12 and count 3", ("json", {"title": "Dune", "price": 12, "count": 3}))
case("i json", "Give me a JSON array with red, green, blue", ("json", ["red", "green", "blue"]))
case("i json", "给我一个 JSON 对象，name 是 王伟，age 是 33。", ("json", {"name": "王伟", "age": 33}))
# j. counting, lists, markdown
for a, b in [(1, 10), (1, 20), (5, 15), (1, 50), (1, 100), (33, 47), (90, 100), (12, 60), (0, 9)]:
    case("j count", f"Count from {a} to {b}.", ", ".join(map(str, range(a, b + 1))))
    case("j count", f"Please write the numbers {a} to {b}", ", ".join(map(str, range(a, b + 1))))
case("j count", "Count down from 10 to 1", ", ".join(map(str, range(10, 0, -1))))
case("j count", "从 1 数到 12", ", ".join(map(str, range(1, 13))))
for k in ("fruits", "colors", "animals", "vegetables", "cities"):
    for n, w in ((3, "three"), (5, "five"), (4, "4"), (7, "seven")):
        case("j list", f"Please list {w} {k}", "\n".join("- " + x for x in LISTS[k][0][:n]))
case("j list", "列出三种水果", "- 苹果\n- 香蕉\n- 樱桃")
case("j list", "List the days of the week.", DAYS)
case("j list", "What are the months of the year?", MONTHS)
case("j markdown", "Please show me a markdown example", MD["en"])
case("j markdown", "Give me a markdown example", MD["en"])
case("j markdown", "给我看一个 Markdown 示例", MD["zh"])
case("j markdown", "Please write hello world in Python", CODE["python"])
case("j markdown", "How do you write hello world in JavaScript?", CODE["javascript"])
case("j story", "Please tell me a short story", ("in", "Once upon a time", "Luna", "The end."))
case(
    "j story",
    "Tell me a story about a cat named Milo.",
    ("in", "Once upon a time", "small cat named Milo", "Milo lived", "So Milo invited", "The end."),
)
case("j story", "Write a story about a robot named Zed.", ("in", "named Zed", "The end."))
case("j story", "给我讲一个故事", ("in", "从前", "故事讲完了。"))
