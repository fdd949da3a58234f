"""Word pools used by the synthetic data generator."""

NAMES = """Alice Bob Carol David Emma Frank Grace Henry Isabel Jack Kate Liam Mary Nora Oscar Paul Quinn Rosa Sam Tina Uma Victor
Wendy Xavier Yara Zoe Anna Ben Clara Daniel Eva Felix Gina Hugo Ivan Julia Karl Laura Max Nina Otto Petra Rita Simon Tom Ursula Vera
Walter Anton Bella Chris Diana Erik Fiona George Helen Igor James Klara Leo Maria Nick Olga Peter Robert Sarah Tim Lucy Mike Susan
John Linda Ahmed Aisha Chen Wei Hiro Yuki Raj Priya Omar Fatima Sofia Mateo Lucas Mia Noah Ella Ethan Ruby Dylan Stella Adam Amy Brian
Cindy Derek Ellen Fred Gloria Howard Irene Jason Kevin Lily Martin Nancy Oliver Pam Roger Steve Tracy Vincent Will Yvonne Zack Marco Luca""".split()
CITIES = (
    """Paris London Berlin Madrid Rome Tokyo Osaka Beijing Shanghai Moscow Vienna Prague Dublin Lisbon Athens Oslo Cairo Lagos
Nairobi Sydney Melbourne Auckland Toronto Montreal Boston Chicago Seattle Denver Dallas Houston Miami Atlanta Lima Bogota Quito Havana
Seoul Busan Taipei Hanoi Bangkok Manila Jakarta Singapore Delhi Mumbai Dubai Doha Riyadh Tehran Baghdad Istanbul Ankara Kyiv Warsaw
Budapest Bucharest Sofia Belgrade Zagreb Hamburg Munich Cologne Zurich Geneva Milan Naples Venice Turin Lyon Nice Brussels Antwerp
Amsterdam Rotterdam Copenhagen Stockholm Helsinki Riga Vilnius Tallinn Reykjavik""".split()
    + ["New York", "San Francisco", "Los Angeles", "Hong Kong", "Cape Town", "Mexico City", "Buenos Aires", "Rio de Janeiro"]
)
ZCITIES = "北京 上海 广州 深圳 成都 杭州 南京 武汉 西安 重庆 天津 苏州 长沙 青岛 大连 厦门 昆明 哈尔滨 沈阳 济南 郑州 福州 合肥 南昌 贵阳 南宁 海口 拉萨 兰州 香港 澳门 台北 东京 巴黎 伦敦 纽约 柏林 罗马 首尔 曼谷".split()
COLORS = "red blue green yellow orange purple pink brown black white gray gold silver violet teal cyan".split()
ZCOLORS = "红色 蓝色 绿色 黄色 橙色 紫色 粉色 棕色 黑色 白色 灰色 金色 银色 青色".split()
ANIMALS = "cat dog horse rabbit fox bear lion tiger mouse bird fish turtle frog duck goat sheep cow pig wolf owl panda koala whale shark snake penguin monkey camel deer eagle parrot hamster otter".split()
ZANIMALS = "猫 狗 马 兔子 狐狸 熊 狮子 老虎 老鼠 小鸟 鱼 乌龟 青蛙 鸭子 山羊 绵羊 奶牛 猪 狼 猫头鹰 熊猫 考拉 鲸鱼 鲨鱼 蛇 企鹅 猴子 骆驼 鹿 老鹰".split()
FOODS = "pizza pasta rice soup bread cheese salad sushi noodles curry steak cake chocolate pancakes tacos dumplings honey potatoes icecream burgers".split()
ZFOODS = "米饭 面条 饺子 包子 火锅 披萨 寿司 蛋糕 巧克力 牛排 豆腐 烤鸭 汤圆 粥 面包 沙拉 咖喱 馄饨".split()
SURN = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红梅鹏飞宇浩然子轩梓涵欣怡晨曦思远雨桐天佑志国建文佳琪雪"
FRUITS = "apple banana cherry grape lemon mango orange peach pear plum".split()
JOBS = "teacher doctor nurse farmer pilot painter driver cook singer writer baker lawyer dentist engineer student gardener plumber".split()
ZJOBS = "老师 医生 护士 农民 飞行员 画家 司机 厨师 歌手 作家 律师 工程师 学生 园丁".split()
WORDS = """time year people way day man thing woman life child world school state family student group country problem hand part place case week
company system program question work government number night point home water room mother area money story fact month lot right study book
eye job word business issue side kind head house service friend father power hour game line end member law car city community name president
team minute idea kid body information back parent face others level office door health person art war history party result change morning
reason research girl guy moment air teacher force education foot boy age policy music process sense river mountain forest island ocean
summer winter spring autumn window garden kitchen table chair bottle paper pencil bridge street station train plane ship boat engine
computer keyboard screen mouse network cable server cloud storm rain snow wind sun moon star planet rocket camera picture movie song dance
run walk jump swim read write speak listen open close start stop build break carry catch choose climb cook cut draw drive drink eat fall
fight find fly forget give go grow hear help hide hold keep know laugh learn leave lose make meet move need pay play pull push put ride
rise say see sell send show sing sit sleep smile stand stay steal take teach tell think throw touch travel try turn use visit wait want
wash watch wear win wish wonder worry big small long short high low old new young good bad happy sad fast slow hot cold warm cool dark
bright clean dirty dry wet easy hard heavy light loud quiet rich poor safe strong weak sweet sour thick thin wide narrow deep early late
empty full free funny gentle great green kind lazy lucky nice proud ready real rough round sharp shiny silly simple smooth soft special
strange tall tiny wild wise wonderful yellow blue red black white brown purple orange pink silver golden wooden plastic glass stone metal
apple banana cherry lemon mango peach potato tomato carrot onion garlic butter cheese bread honey sugar salt pepper coffee tea milk juice
elephant giraffe dolphin butterfly spider kangaroo crocodile dragon castle knight wizard pirate treasure island secret magic mystery
always never often sometimes today tomorrow yesterday here there everywhere above below under over between behind beside inside outside
quickly slowly quietly loudly carefully together alone again almost already maybe perhaps because although while before after until since""".split()
FUNC = "the a my your his her our their this that every some in on at with for and or but to from of is was are were has had will can".split()
TZS = "Europe/Paris Europe/London Europe/Berlin Europe/Madrid Europe/Rome Asia/Tokyo Asia/Shanghai Asia/Seoul Asia/Dubai Asia/Kolkata America/New_York America/Chicago America/Denver America/Los_Angeles America/Toronto Australia/Sydney Africa/Cairo UTC".split()
MODELS = """gemma2:9b gemma2:2b gemma3:4b gemma3:12b llama3 llama3.1 llama3.2 llama3.2:1b llama3.1:8b llama3.1:70b qwen2.5 qwen2.5:7b qwen2.5:0.5b qwen3:8b
qwen3:4b qwen3 mistral mistral:7b mixtral phi3 phi3:mini phi4 deepseek-r1 deepseek-r1:7b codellama tinyllama starter smollm2:135m nomic-embed-text
llava llava:7b granite3:8b command-r yi:6b falcon:7b vicuna orca-mini stablelm2 solar openchat zephyr neural-chat gpt-oss:20b""".split()
LEVEL1 = [bytes([r, c]).decode("gb2312") for r in range(0xB0, 0xD7) for c in range(0xA1, 0xFF) if not (r == 0xD7 and c > 0xF9)]
COMMONZ = "的一是了我不人在他有这个上们来到时大地为子中你说生国年着就那和要她出也得里后自以会家可下而过天去能对小多然于心学么之都好看起发当没成只如事把还用第样道想作种开美总从无情己面最女但现前些所同日手又行意动方期它头经长儿回位分爱老因很给名法间斯知世什两次使身者被高已亲其进此话常与活正感见明问力理尔点文几定本公特做外孩相西果走将月十实向声车全信重三机工物气每并别真打太新比才便夫再书部水像眼等体却加电主界门利海受听表德少克代员许先口由死安写性马光白或住难望教命花结乐色更拉东神记处让母父应直字场平报友关放至张认接告入笑内英军候民岁往何度山觉路带万男边风解叫任金快原吃妈变通师立象数四失满战远格士音轻目条呢"
_C = "b c d f g h j k l m n p r s t v w z br ch cl cr dr fl gr kl pl pr sh sk sl sn st th tr".split()
_V = "a e i o u ai ea ee o a e i oo ou".split()
_E = ["", "", "", "n", "r", "s", "t", "l", "k", "m", "x", "nd", "rt"]
EMOJI = "😀 😂 🎉 🚀 🌟 🔥 🍎 🐱 🐶 🌈 ❤️ 👍 🎵 ⚽ 🌍 🍕 📦 ✨ 🧠 🐼".split()


def pseudo(r, lo=2, hi=3):
    return "".join(r.choice(_C) + r.choice(_V) for _ in range(r.randint(lo, hi))) + r.choice(_E)


def letters(r, lo=3, hi=8):
    return "".join(r.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(r.randint(lo, hi)))


def name(r, lang="en"):
    if lang == "zh" and r.random() < 0.75:
        return r.choice(SURN) + "".join(r.choice(GIVEN if r.random() < 0.88 else LEVEL1) for _ in range(r.choice((1, 2, 2))))
    x = r.random()
    if x < 0.55:
        return r.choice(NAMES)
    if x < 0.95:
        return pseudo(r, 1, 3).capitalize()
    return r.choice(NAMES) + " " + pseudo(r, 2, 3).capitalize()


def city(r, lang="en"):
    if lang == "zh" and r.random() < 0.85:
        return r.choice(ZCITIES) if r.random() < 0.7 else "".join(r.choice(LEVEL1) for _ in range(2))
    return r.choice(CITIES) if r.random() < 0.6 else pseudo(r, 2, 3).capitalize()


def word(r):
    x = r.random()
    return r.choice(WORDS) if x < 0.5 else pseudo(r, 1, 3) if x < 0.85 else letters(r)


def model(r):
    x = r.random()
    if x < 0.5:
        return r.choice(MODELS)
    n = r.choice(("", "my", "tiny", "super", "code", "chat")) + pseudo(r, 1, 2)
    if r.random() < 0.3:
        n += "-" + pseudo(r, 1, 2)
    if r.random() < 0.4:
        n += str(r.randint(1, 9)) + (("." + str(r.randint(0, 9))) if r.random() < 0.4 else "")
    if r.random() < 0.6:
        n += ":" + r.choice(
            [
                "latest",
                f"{r.randint(1, 99)}b",
                f"0.{r.randint(1, 9)}b",
                "mini",
                "q4_0",
                f"{r.randint(1, 9)}.{r.randint(0, 9)}b",
                "v%d" % r.randint(1, 9),
            ]
        )
    return n


def zsent(r, lo=2, hi=10):
    return "".join(r.choice(COMMONZ if r.random() < 0.88 else LEVEL1) for _ in range(r.randint(lo, hi)))


def sent(r, lo=1, hi=9):
    n = r.randint(lo, hi)
    ws = [r.choice(FUNC) if r.random() < 0.3 else word(r) for _ in range(n)]
    x = r.random()
    if x < 0.5:
        ws[0] = ws[0].capitalize()
    if r.random() < 0.15:
        i = r.randrange(n)
        ws[i] = str(r.randint(0, 9999))
    if r.random() < 0.08 and n > 2:
        i = r.randrange(n - 1)
        ws[i] += ","
    s = " ".join(ws)
    if r.random() < 0.08:
        s += " " + r.choice(EMOJI)
    elif r.random() < 0.4:
        s += r.choice(".!?")
    return s
