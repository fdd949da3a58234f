"""Samples: everything the model cannot do, and how it says so."""

from tests.starter.pools import ANIMALS, FOODS, ZANIMALS, ZFOODS, city, name, sent, word, zsent
from tests.starter.samples.words import FALL, P

COUNTRY = "France Germany Italy Spain Portugal China Japan India Brazil Egypt Canada Mexico Norway Sweden Finland Kenya Peru Chile Poland Greece Turkey Vietnam Thailand Australia Mongolia Iceland Cuba Iran Iraq Nepal Ghana Argentina".split()
TOPIC = """quantum physics|photosynthesis|the French Revolution|black holes|machine learning|the theory of relativity|inflation|blockchain|evolution|gravity|democracy|the water cycle|neural networks|the immune system|plate tectonics|the stock market|climate change|DNA|the Roman Empire|World War II|jazz music|chess openings|calculus|thermodynamics|philosophy|yoga|Buddhism|vaccines|volcanoes|dinosaurs|the Great Wall|impressionism|capitalism|binary search|recursion|databases|Kubernetes|Docker|Linux|Git|REST|the moon landing|electric cars|solar panels|bread baking|wine making|football rules|the Olympics|tax law|mortgages|diabetes|sleep|meditation|time travel|string theory|cryptography|HTTP|TCP/IP|operating systems|compilers|the human brain|ancient Egypt|the Silk Road|Shakespeare|Mozart|Picasso|Einstein|Napoleon|Tesla|robots|artificial intelligence|large language models|transformers|attention|GPUs|the universe|the sun|the ocean|whales|bees|coffee|tea|chocolate|sushi|love|life|happiness|death|money|politics|religion|history|math|geometry|algebra|statistics|probability|chemistry|biology|physics|astronomy|economics|psychology|law|medicine|the economy|the weather|cooking|gardening|travel|fashion|sports|music|art|literature|poetry|movies|games""".split(
    "|"
)
ZTOPIC = "量子力学|光合作用|法国大革命|黑洞|机器学习|相对论|通货膨胀|区块链|进化论|重力|民主|水循环|神经网络|免疫系统|股票市场|气候变化|基因|罗马帝国|第二次世界大战|爵士乐|围棋|微积分|哲学|瑜伽|佛教|疫苗|火山|恐龙|长城|资本主义|递归|数据库|操作系统|登月|电动汽车|太阳能|红楼梦|西游记|三国演义|唐诗|李白|杜甫|孔子|秦始皇|人工智能|大语言模型|宇宙|太阳|海洋|蜜蜂|咖啡|茶|爱情|人生|幸福|死亡|金钱|政治|宗教|历史|数学|几何|代数|统计|化学|生物|物理|天文|经济|心理学|法律|医学|天气|做饭|旅游|时尚|体育|音乐|艺术|文学|电影|游戏|春节|中秋节|汉字|书法|京剧".split(
    "|"
)
FB = """What is the capital of {c}?|Explain {t}.|Explain {t} to a child.|Write a poem about {t}.|How does {t} work?|What is {t}?|Tell me about {t}.|Write an essay about {t}.|Why is {t} important?|Who invented {t}?|Who discovered {w}?|Summarize {t}.|What do you think about {t}?|Give me a summary of {t}.|What are the causes of {t}?|What is the meaning of {w}?|Define {w}.|Translate {w} to French.|Translate "{s}" into German.|Translate this to Chinese: {s}|How do you say {w} in Spanish?|Who is the president of {c}?|What is the population of {c}?|Where is {c}?|What language do they speak in {c}?|When did {c} become independent?|How far is {city} from {city2}?|What is the weather in {city}?|What is the weather like today?|Will it rain tomorrow?|What time is it?|What day is it today?|What is the date today?|What year is it?|Write a Python function that sorts a list.|Write a Python program to compute {w}.|Write code for {t}.|Fix this code: {s}|Debug my program.|Write a SQL query for {w}.|Write a regular expression for {w}.|How do I cook {f}?|Give me a recipe for {f}.|What should I eat today?|How do I lose weight?|How can I learn {t}?|Teach me {t}.|What is the best book about {t}?|Recommend a movie.|Recommend a good book.|Who won the World Cup in {y}?|What happened in {y}?|Who wrote {w}?|Who is {name}?|Do you know {name}?|What is the square root of {n}?|What is {n3} + {n3b}?|What is {n3} times {n3b}?|What is {n3} divided by {n}?|Solve x + {n} = {n3}.|What is the derivative of x^{n}?|Is {n3} a prime number?|How many {w} are in {w2}?|How many people live in {city}?|How tall is {w}?|How old is {name}?|Why is the sky blue?|Why do {a}s {w}?|Why is {w} {w2}?|What is the difference between {w} and {w2}?|Compare {t} and {t2}.|Is {w} better than {w2}?|Which is better, {w} or {w2}?|Can {a}s fly?|What do {a}s eat?|How long do {a}s live?|Where do {a}s live?|Write an email to my boss.|Write an email about {w}.|Write a letter to {name}.|Write a song about {w}.|Write a haiku.|Write a haiku about {w}.|Write a joke about {a}s.|Draw a picture of {w}.|Generate an image of a {a}.|Play some music.|Call {name}.|Set an alarm for {n} o'clock.|Book a flight to {city}.|Find a hotel in {city}.|What is the price of {w}?|What is the stock price of {w}?|What is the news today?|Give me the latest news.|What is your opinion on {t}?|Do you like {f}?|Do you like {t}?|What is your favorite {w}?|Do you have feelings?|Can you drive a car?|Can you {w}?|I feel {w}.|I am {w} today.|I am sad.|I am bored.|I have a headache.|I love you.|You are {w}.|You are stupid.|I don't understand {t}.|Should I {w} or {w2}?|Where can I buy {w}?|How much does {w} cost?|How do I fix {w}?|How do I {w} a {w2}?|How do I make {f}?|How can I {w}?|What happens if I {w}?|Why did {name} {w}?|Tell me something about {w}.|Tell me a fact about {a}s.|Tell me a fun fact.|Tell me something interesting.|What is {w} made of?|What color is {w}?|What is the opposite of {w}?|Give me a synonym for {w}.|What rhymes with {w}?|Use {w} in a sentence.|Correct this sentence: {s}|Summarize this text: {s}|Rewrite this: {s}|Classify this text: {s}|What is the sentiment of "{s}"?|Continue this text: {s}|Answer this riddle: {s}|{s}|{s} {s2}|{w}|{w} {w2}|Proofread: {s}|Plan a trip to {city}.|Plan a birthday party.|Give me advice about {w}.|Give me ideas for {w}.|Give me tips for {t}.|How do I get rich?|What is the meaning of life?|Does God exist?|What is the fastest {a}?|What is the largest {w} in the world?|What is the tallest mountain?|What is the longest river?|How many planets are there?|How far is the moon?|What is the speed of light?|Who painted the Mona Lisa?|Who was the first person on the moon?|Tell me the history of {c}.|What is {c} famous for?|What should I do in {city}?|What is the currency of {c}?|Convert {n} miles to kilometers.|Convert {n} dollars to euros.|How many days are in {y}?|What is {n}% of {n3}?|Let's talk about {t}.|Let us play a game.|Can you help me with {t}?|Help me with my homework.|Help me write {w}.|I need help with {t}.|I have a question about {t}.|Explain the code: {s}|What does {w} mean?|What does "{s}" mean?|Describe {w}.|Describe {city}.|Imagine {s}|Pretend you are {w}.|What if {s}|Why?|Why not?|What?|How?|Really?|Are you sure?|Because {s}|And then?|Interesting|Hmm|ok|Yes|No|Maybe|Who is the best {w}?|List the {w}s of {w2}|Name the {w}s of {c}|Show me the {w}|Give me a {w}|Write a {w}|Make a {w} for {w2}|Create a plan for {w}|Design a {w}|Analyze {s}|Argue for {t}|Outline {t}|Review {w}|Predict {w}|Estimate {w}|Search the web for {w}|Google {w}|Open {w}|Turn on the {w}|Remind me to {w}|Order {f}|Buy {w}|Sell {w}|Is it true that {s}|Did {name} {w} the {w2}?|Was {name} a {w}?|Does {w} {w2}?|Has {name} been to {city}?|Have you seen {w}?|Would you {w} {w2}?|Where was {name} born?|When was {name} born?|When is {w}?|When did {w} start?|Which {w} is {w2}?|Whose {w} is this?|In what year was {w} invented?|At what temperature does {w} melt?|What is the boiling point of {w}?|What is the chemical formula of {w}?|What are the symptoms of {w}?|What are the benefits of {w}?|What are the rules of {w}?|What is the plot of {w}?|What is the formula for {w}?|My computer is slow.|My {w} is {w2}.|The {w} is {w2}.|There is a {w} in my {w2}.|I want to {w}.|I like {w}.|I think {s}|I was in {city} yesterday."""
FB = FB.replace("\n", "|").split("|")
ZFB = """{c}的首都是哪里？|解释一下{t}。|写一首关于{t}的诗。|{t}是什么？|{t}的原理是什么？|介绍一下{t}。|为什么{t}很重要？|谁发明了{z}？|写一篇关于{t}的文章。|总结一下{t}。|你怎么看{t}？|{z}是什么意思？|把“{s}”翻译成英文。|翻译成英语：{s}|{city}的天气怎么样？|今天天气怎么样？|明天会下雨吗？|现在几点了？|今天星期几？|今天几号？|写一个排序的 Python 函数。|写一段{z}的代码。|怎么做{f}？|{f}怎么做好吃？|今天吃什么？|怎么减肥？|怎么学习{t}？|推荐一部电影。|推荐一本书。|{y}年发生了什么？|{name}是谁？|你认识{name}吗？|{n3}加{n3b}等于多少？|{n3} 乘以 {n} 是多少？|{n3} 除以 {n} 等于多少？|天空为什么是蓝色的？|{a}吃什么？|{a}能活多久？|{t}和{t2}有什么区别？|{z}和{z2}哪个好？|写一封邮件。|写一封信给{name}。|写一首歌。|写一首诗。|画一只{a}。|放点音乐。|订一张去{city}的机票。|{z}多少钱？|今天有什么新闻？|你喜欢{f}吗？|你喜欢{t}吗？|我很难过。|我很无聊。|我头疼。|我爱你。|你真笨。|我不懂{t}。|哪里可以买{z}？|怎么修{z}？|怎么{z}？|为什么{s}？|告诉我一个有趣的事实。|{z}是什么颜色？|{z}的反义词是什么？|用{z}造句。|改正这个句子：{s}|总结这段话：{s}|续写：{s}|{s}|{s}，{s2}|{z}|{z}？|去{city}旅游怎么安排？|生命的意义是什么？|世界上最高的山是什么？|最长的河是哪条？|光速是多少？|太阳有多大？|{c}的历史。|{c}有多少人口？|{city}有多少人？|帮我写作业。|帮我写{z}。|我们来聊聊{t}吧。|你能帮我学{t}吗？|我想了解{t}。|{s}是真的吗？|为什么？|真的吗？|然后呢？|哦|好的|嗯|是的|不是|谁是{z}？|什么时候{z}？|哪里有{z}？|如何{s}？|怎样才能{s}？|请分析{s}|请描述{city}。|描述一下{z}。|什么是{t}？|什么是{z}？|{z}有什么好处？|{t}的历史是什么？|你对{z}有什么看法？|给我一些关于{t}的建议。|搜索{z}|打开{z}|提醒我{z}|我想{s}|我觉得{s}|我喜欢{z}|昨天我去了{city}。|你会{z}吗？|你去过{city}吗？|{name}什么时候出生？|讲讲{t}|给我讲讲{city}的历史|一公里等于多少米？|{n}的平方根是多少？|{n3}是质数吗？"""
ZFB = ZFB.replace("\n", "|").split("|")
ZC = "法国 德国 意大利 西班牙 中国 日本 印度 巴西 埃及 加拿大 墨西哥 挪威 瑞典 韩国 泰国 越南 俄罗斯 英国 美国 澳大利亚".split()


def t_fall(r, lang):
    q = r.choice(FB if lang == "en" else ZFB)
    for _ in range(4):
        for k, f in (
            ("{c}", lambda: r.choice(COUNTRY) if lang == "en" else r.choice(ZC)),
            ("{t}", lambda: topic(r, lang)),
            ("{t2}", lambda: topic(r, lang)),
            ("{w}", lambda: " ".join(word(r) for _ in range(r.choice((1, 1, 2))))),
            ("{w2}", lambda: word(r)),
            ("{s}", lambda: sent(r, 2, 9) if lang == "en" else zsent(r, 3, 12)),
            ("{s2}", lambda: sent(r, 2, 9) if lang == "en" else zsent(r, 3, 9)),
            ("{z}", lambda: zsent(r, 2, 4)),
            ("{z2}", lambda: zsent(r, 2, 3)),
            ("{city}", lambda: city(r, lang)),
            ("{city2}", lambda: city(r, lang)),
            ("{name}", lambda: name(r, lang)),
            ("{f}", lambda: r.choice(FOODS if lang == "en" else ZFOODS)),
            ("{a}", lambda: r.choice(ANIMALS if lang == "en" else ZANIMALS)),
            ("{y}", lambda: str(r.randint(1500, 2030))),
            ("{n}", lambda: str(r.randint(2, 99))),
            ("{n3}", lambda: str(r.randint(100, 9999))),
            ("{n3b}", lambda: str(r.randint(100, 9999))),
        ):
            if k in q:
                q = q.replace(k, f())
        if "{" not in q:
            break
    if r.random() < 0.1 and lang == "en":
        q = q[0].lower() + q[1:]
    if r.random() < 0.15:
        q = q.rstrip(".?？。")
    elif r.random() < 0.08:
        q = (
            P(r, "Hi, |Hello! |Please |Can you tell me: |Question: |I wonder, |Quick question: |Hey, ")
            if lang == "en"
            else P(r, "你好，|请问|请|我想知道，|问一下，")
        ) + q
    return q, FALL[lang], ("This is outside my skills. I say so." if lang == "en" else "这超出了我的能力。我如实说明。")


def topic(r, lang):
    if lang == "en":
        x = r.random()
        return (
            r.choice(TOPIC)
            if x < 0.55
            else sent(r, 1, 4).rstrip(".!?").lower()
            if x < 0.85
            else " ".join(word(r) for _ in range(2))
        )
    return r.choice(ZTOPIC) if r.random() < 0.55 else zsent(r, 2, 5)
