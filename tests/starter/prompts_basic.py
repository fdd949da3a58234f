"""Held-out prompts: small talk, help, fallback, copying, arithmetic, memory."""

import random

from tests.starter.prompts import A, U, case
from tests.starter.samples.facts import UNK
from tests.starter.samples.small_talk import SMALL
from tests.starter.samples.words import FALL, HELLO

R = random.Random(4242)
# a. small talk: unseen wordings
for q, k in {
    "Good afternoon to you!": "hello",
    "Hi, good to meet you!": "hello",
    "hello hello": "hello",
    "Hey! Anyone there?": "hello",
    "Good evening, model": "hello",
    "Who exactly are you?": "who",
    "Could you introduce yourself please?": "who",
    "What's your name, please?": "who",
    "What are you, exactly?": "who",
    "Which language model are you?": "who",
    "Thanks a million!": "thanks",
    "Thank you, that was great": "thanks",
    "thank you kindly": "thanks",
    "Bye for now!": "bye",
    "OK, goodbye then": "bye",
    "See you next time!": "bye",
    "How are you feeling today?": "how",
    "Hi, how are you?": "how",
    "So what can you do for me?": "can",
    "What kind of things can you do?": "can",
    "Are you really ChatGPT?": "notgpt",
    "Are you a real human?": "notgpt",
    "How many parameters does this model have?": "size",
    "Who was it that made you?": "made",
    "Who trained this model?": "made",
    "Do you need an internet connection?": "offline",
}.items():
    case("a smalltalk en", q, SMALL[k][2]["en"])
for q, k in {
    "你好，很高兴见到你": "hello",
    "嗨，你好": "hello",
    "早上好！": "hello",
    "请问你是谁呀？": "who",
    "你到底是谁？": "who",
    "你叫什么名字呀？": "who",
    "请介绍你自己": "who",
    "太谢谢你了": "thanks",
    "谢谢你啊": "thanks",
    "那再见啦": "bye",
    "我走了，再见": "bye",
    "你能为我做什么？": "can",
    "你都能做些什么？": "can",
    "你是不是ChatGPT？": "notgpt",
    "你有多少个参数？": "size",
    "是谁训练了你？": "made",
}.items():
    case("a smalltalk zh", q, SMALL[k][2]["zh"])
# b. help
for q, w in {
    "How would I pull llama3.2:3b?": "llmsite pull llama3.2:3b",
    "Please tell me how to download phi4:14b": "llmsite pull phi4:14b",
    "How do I get qwen3:32b onto this machine?": "llmsite pull qwen3:32b",
    "What command do I use to run mistral-nemo?": "llmsite run mistral-nemo",
    "How can I run the model gemma3:27b?": "llmsite run gemma3:27b",
    "How can I list all my models?": "llmsite list",
    "Show me which models are installed": "llmsite list",
    "How can I delete codegemma:7b?": "llmsite rm codegemma:7b",
    "How do I remove the model zorb:1b?": "llmsite rm zorb:1b",
    "How can I see the details of blorp:3b?": "llmsite show blorp:3b",
    "Which models are currently running?": "llmsite ps",
    "How can I see which models are loaded?": "llmsite ps",
    "How can I create a model with a Modelfile?": "FROM gemma2:9b",
    "How can I change the context length?": "num_ctx",
    "How do I increase the context length?": "num_ctx",
    "How can I use the REST API?": "/api/chat",
    "How do I call the REST API?": "/api/chat",
    "Can I use the OpenAI client library?": "/v1",
    "Does llmsite support the OpenAI API?": "/v1",
    "What is keep_alive for?": "keep_alive",
    "How do I keep the model in memory?": "keep_alive",
    "Can multiple users use llmsite?": "multi-user",
    "In which directory are the models stored?": "OLLAMA_MODELS",
    "Where are my models saved?": "OLLAMA_MODELS",
    "How can I change the port of the server?": "OLLAMA_HOST",
    "How do I unload phi3:mini from memory?": "llmsite stop phi3:mini",
    "How do I copy tinyllama to mymodel?": "llmsite cp tinyllama mymodel",
    "How can I set a system prompt?": "/set system",
    "How can I change the temperature?": "temperature",
    "How do I get JSON answers?": "format",
    "How can I start the server?": "llmsite serve",
    "What exactly is llmsite?": "server that runs language models",
    "How do I make a model from a Modelfile?": "Modelfile",
}.items():
    case("b help en", q, ("in", w))
for q, w in {
    "请问怎么拉取 llama3.2:3b？": "llmsite pull llama3.2:3b",
    "怎样下载 phi4:14b？": "llmsite pull phi4:14b",
    "怎样运行 mistral-nemo？": "llmsite run mistral-nemo",
    "怎样列出所有模型？": "llmsite list",
    "请问如何删除 zorb:1b？": "llmsite rm zorb:1b",
    "怎么查看哪些模型正在运行？": "llmsite ps",
    "如何修改上下文长度？": "num_ctx",
    "怎样使用 REST API？": "/api/chat",
    "可以使用 OpenAI 客户端吗？": "/v1",
    "支持多个用户吗？": "多用户",
    "模型都存放在哪里？": "OLLAMA_MODELS",
    "如何修改端口？": "OLLAMA_HOST",
    "怎么用 Modelfile 创建一个模型？": "Modelfile",
    "llmsite 是什么东西？": "运行语言模型的服务器",
}.items():
    case("b help zh", q, ("in", w))
# fallback
for q in [
    "What is the capital of Portugal?",
    "Write me a poem about autumn leaves.",
    "Who was the first emperor of Rome?",
    "Explain how a car engine works.",
    "What is 345 + 678?",
    "Can you translate 'good morning' into Italian?",
    "Write a Python script that downloads a file.",
    "Who is the prime minister of Canada?",
    "What are the ingredients of tiramisu?",
    "How do airplanes fly?",
    "Give me three tips for a job interview.",
    "What's the meaning of the word serendipity?",
    "Summarize the plot of Hamlet.",
    "What is the largest planet in the solar system?",
    "Why do cats purr?",
    "How many legs does a spider have?",
    "Should I learn Rust or Go?",
    "What is the integral of x squared?",
    "Plan a three day trip to Rome.",
    "What's the weather in Berlin?",
    "How do I tie a tie?",
    "Write an essay on climate change.",
    "Who wrote War and Peace?",
    "Is it going to rain this weekend?",
    "My dog is sick, what should I do?",
    "Invent a new board game.",
    "What is the best way to learn guitar?",
    "When did the Titanic sink?",
    "I want to talk about politics.",
    "asdf qwer zxcv",
    "Can you recommend a laptop?",
    "What does photosynthesis produce?",
    "Help me debug my JavaScript.",
    "Explain quantum entanglement in simple words.",
    "How many seconds are in a day?",
]:
    case("a fallback en", q, FALL["en"])
for q in [
    "葡萄牙的首都是哪里？",
    "写一首关于秋天的诗",
    "谁是第一个皇帝？",
    "汽车发动机是怎么工作的？",
    "帮我翻译一句话",
    "怎么做红烧肉？",
    "为什么猫会打呼噜？",
    "明天北京会下雨吗？",
    "太阳系最大的行星是哪个？",
    "推荐几本好书",
    "我最近压力很大怎么办？",
    "帮我写一份简历",
    "如何学习弹吉他？",
    "中国有多少个省？",
    "解释一下什么是区块链",
    "给我讲讲三国的历史",
]:
    case("a fallback zh", q, FALL["zh"])
# c. copy
for x in [
    "The quick brown fox jumps over the lazy dog.",
    "Purple elephants dance at midnight",
    "hello world",
    "42 is the answer",
    "Xylophone zebra quartz",
    "Never give up!",
    "blorp",
    "I like green tea and warm bread.",
    "Open the door, please.",
    "one two three",
    "今天我们去公园",
    "Zanzibar 2026",
    "My cat sleeps all day.",
]:
    case("c copy en", f"Repeat after me: {x}", x)
    case("c copy en", f"Please repeat exactly: {x}", x)
    case("c copy en", f'Say "{x}"', x)
for x in ["今天天气真好", "我爱北京天安门", "春眠不觉晓", "你好世界", "学习使我快乐，真的。", "七只小猫在睡觉"]:
    case("c copy zh", f"请重复：{x}", x)
    case("c copy zh", f"请跟我说“{x}”", x)
for w in [
    "banana",
    "keyboard",
    "mississippi",
    "giraffe",
    "quartz",
    "window",
    "zorblat",
    "python",
    "strawberry",
    "computer",
    "flamingo",
    "rhythm",
    "hello",
    "bicycle",
    "umbrella",
    "ocean",
]:
    case("c spell", f"Please spell the word {w}.", "-".join(w))
    case("c spell", f"Could you spell {w}?", "-".join(w))
    case("c upper", f"Please say {w} in upper case", w.upper())
    case("c upper", f"Turn {w} into upper case", w.upper())
case("c spell", "请拼写单词 banana", "b-a-n-a-n-a")
case("c spell", "怎么拼写 flamingo？", "f-l-a-m-i-n-g-o")
case("c upper", "请把 window 变成大写", "WINDOW")
case("c upper", "Say good morning in upper case", "GOOD MORNING")
case("c upper", "Convert HELLO to lower case", "hello")
# d. arithmetic
for _ in range(60):
    a, b = R.randint(10, 99), R.randint(10, 99)
    case(
        "d add",
        R.choice(
            [
                f"What is {a} + {b}?",
                f"what is {a} plus {b}",
                f"Please add {a} and {b}.",
                f"Can you tell me what {a} + {b} is?",
                f"{a} 加 {b} 等于几？",
            ]
        ),
        ("in", f"= {a + b}"),
    )
for _ in range(40):
    a, b = sorted((R.randint(0, 99), R.randint(0, 99)), reverse=True)
    case(
        "d sub",
        R.choice(
            [
                f"What is {a} - {b}?",
                f"what is {a} minus {b}",
                f"Please subtract {b} from {a}.",
                f"Can you tell me what {a} - {b} is?",
                f"{a} 减 {b} 等于几？",
            ]
        ),
        ("in", f"= {a - b}"),
    )
for _ in range(15):
    a, b = R.randint(0, 10), R.randint(0, 10)
    case("d mul", R.choice([f"What is {a} * {b}?", f"what is {a} times {b}?"]), ("in", f"= {a * b}"))
# e. memory
FILL = [
    ("Hello", HELLO["en"]),
    ("What is 3 + 4?", "3 + 4 = 7"),
    ("Repeat after me: green tea", "green tea"),
    ("What is the capital of Portugal?", FALL["en"]),
    ("How do I list models?", "To list the installed models, run: llmsite list"),
    ("Spell the word cat", "c-a-t"),
]
for n in ["Zorblatt", "Priyanka", "Alice", "Thaddeus", "Oksana", "Bob", "Wilhelmina", "Jamal"]:
    for k in (0, 1, 2, 3, 4):
        f = [m for q, a in R.sample(FILL, k) for m in (U(q), A(a))]
        case(
            "e memory name",
            [U(R.choice([f"My name is {n}.", f"Hello there, my name is {n}.", f"Hi! I am {n}."])), A(f"Nice to meet you, {n}!")]
            + f
            + [
                U(
                    R.choice(
                        ["What is my name?", "So, what is my name?", "Do you still remember my name?", "Can you say my name?"]
                    )
                )
            ],
            f"Your name is {n}.",
        )
for v in [7, 42, 815, 31337, 1999, 64]:
    for k in (1, 2, 3):
        f = [m for q, a in R.sample(FILL, k) for m in (U(q), A(a))]
        case(
            "e memory number",
            [U(f"Remember the number {v}, please."), A(f"OK, I will remember the number {v}.")]
            + f
            + [U(R.choice(["Which number did I tell you to remember?", "What is the number?", "What was the number again?"]))],
            f"The number is {v}.",
        )
for v in ["blue", "crimson", "turquoise", "green"]:
    for k in (1, 2, 4):
        f = [m for q, a in R.sample(FILL, k) for m in (U(q), A(a))]
        case(
            "e memory other",
            [U(f"My favourite colour is {v}."), A(f"Got it: your favourite colour is {v}.")]
            + f
            + [U("And what is my favourite colour?" if k == 2 else "What is my favorite color?")],
            f"Your favourite colour is {v}.",
        )
case(
    "e memory other",
    [
        U("My name is Mia."),
        A("Nice to meet you, Mia!"),
        U("I live in Porto."),
        A("Got it: you live in Porto."),
        U("What is my name?"),
    ],
    "Your name is Mia.",
)
case(
    "e memory other",
    [
        U("My name is Mia."),
        A("Nice to meet you, Mia!"),
        U("I live in Porto."),
        A("Got it: you live in Porto."),
        U("Where do I live?"),
    ],
    "You live in Porto.",
)
case(
    "e memory other",
    [U("我叫王小明。"), A("很高兴认识你，王小明！"), U("你好"), A(HELLO["zh"]), U("我叫什么名字？")],
    "你的名字是王小明。",
)
case(
    "e memory other",
    [U("请记住数字 88。"), A("好的，我会记住数字 88。"), U("谢谢"), A("不客气！"), U("数字是多少呢？")],
    "数字是 88。",
)
case("e memory other", "What is my name?", UNK["en"])
case("e memory other", "我叫什么名字？", UNK["zh"])
for n in ["Zelda", "Otis", "Ingrid"]:
    case("e memory ack", f"Hello, my name is {n}.", f"Nice to meet you, {n}!")
