"""Phrases of which dialogues are made, in five languages; all written for this project.

Slots: {topic} of the dialogue; {a}, {b} things; {c} a place; {n}, {m} numbers.
"""

from dataclasses import dataclass

FOLLOW_UPS = ("rejection", "correction", "neutral", "positive", "satisfied")
"""Kinds of follow-ups, in the order in which `Phrases.follow_ups` holds them."""

REQUESTS = ("neutral", "positive")
"""Kinds that go on with a request."""


@dataclass(frozen=True, slots=True)
class Phrases:
    """What is said in one language. follow_ups: of each of FOLLOW_UPS, its phrases; neutral ones may be empty."""

    language: str
    name: str
    country: str
    topics: tuple[str, ...]
    things: tuple[str, ...]
    places: tuple[str, ...]
    questions: tuple[str, ...]
    openings: tuple[str, ...]
    lines: tuple[str, ...]
    requests: tuple[str, ...]
    follow_ups: tuple[tuple[str, ...], ...]


_ENGLISH = Phrases(
    language="en",
    name="English",
    country="United Kingdom",
    topics=(
        "a kitchen garden",
        "a wooden boat",
        "a small choir",
        "a bread oven",
        "a bicycle tour",
        "a beehive",
        "a reading club",
        "a rain gauge",
        "a chess evening",
        "a dry stone wall",
        "a puppet theatre",
        "a village fair",
    ),
    things=(
        "copper wire",
        "linen thread",
        "rye flour",
        "oak planks",
        "sheet music",
        "spare tubes",
        "clay pots",
        "beeswax",
        "a spirit level",
        "paper tickets",
        "old maps",
        "lamp oil",
        "gravel",
        "seed potatoes",
        "a sharp chisel",
        "blue paint",
        "wool felt",
        "brass screws",
        "a long ladder",
        "lime mortar",
        "dried herbs",
        "a hand pump",
        "river sand",
    ),
    places=(
        "the north wall",
        "the cellar",
        "the market square",
        "the second shelf",
        "the harbour",
        "the mill",
        "the school hall",
        "the orchard",
        "the old station",
        "the canal bridge",
        "the attic",
        "the chapel",
        "the workshop",
    ),
    questions=(
        "I want to plan {topic} with {n} people and {m} days. I have {a} and {b} near {c}. Where should I start?",
        "Write me a plan for {topic}. We have {a}, but no {b}, and {n} hours in a week.",
        "What does one need for {topic} in {m} weeks? I live close to {c} and own {a}.",
        "Can you help me with {topic}? Last year it failed after {n} days because of the {b}.",
        "How much {a} do I need for {topic}, if {c} is {n} metres long and {m} wide?",
        "Explain {topic} to a child of {n}; use {a} and {b} as examples.",
    ),
    openings=(
        "Here is a plan for {topic}:",
        "For {topic} I would go step by step:",
        "With {n} hours a week, {topic} could look like this:",
        "These steps have worked for others:",
        "Let us begin with what you have:",
        "Taking {c} into account, I suggest:",
    ),
    lines=(
        "Put {a} beside {c} and count {n} of them before you touch {b}.",
        "On day {m}, ask {n} neighbours whether {c} is free, and bring {a}.",
        "Measure {c}: {n} by {m} steps leave room for {b} and {a}.",
        "If {a} costs more than {n} a piece, take {b} from {c} instead.",
        "Keep {b} dry for {m} hours; at {c} it would spoil {a}.",
        "Write down who brings {a}, who brings {b}, and who waits at {c} at {n} past seven.",
        "Between {c} and the road, {n} lengths of {a} are enough for {m} weeks.",
        "Never store {a} with {b}: after {n} days at {c} both smell of it.",
        "Save {m} per cent of the {b} for the last {n} minutes near {c}.",
        "Test {a} at {c} first, with {n} grams of {b}, and wait {m} minutes.",
        "A good rule: {n} parts of {a} to {m} parts of {b}, mixed at {c}.",
        "Leave {c} as it is, and mend what holds {b} with {a} in {n} places.",
    ),
    requests=(
        "What about {c}, can {a} stay there for {n} days?",
        "How do I choose {b}?",
        "Now write an invitation for {n} guests at {c}.",
        "Make a table of {a}, {b} and their prices.",
        "And for {m} people instead of {n}?",
        "Which tools do I need at {c}?",
        "Turn this into a letter to the owner of {c}.",
        "How long does {a} last in winter?",
    ),
    follow_ups=(
        (
            "No, this is useless. You did not answer my question about {topic} at all.",
            "That is not what I asked for. Start again.",
            "This makes no sense, forget it.",
            "Wrong again. You keep telling me the same nonsense about {a}.",
            "You are not helping. I asked for {topic}, not for this.",
            "I don't like this answer, it is terrible.",
        ),
        (
            "You forgot {a}, I said that I have it.",
            "Step 2 is wrong: {c} is {n} metres long, not {m}.",
            "But I have no {b}. Please correct that.",
            "There is a mistake, {n} times {m} is not what you wrote.",
            "Too long. I asked for {n} words at most.",
            "It doesn't work: the {b} breaks when I do as you say. Fix it.",
            "No, not {c}. I meant the other one.",
        ),
        ("", "Next question.", "Also:", "Another thing.", "Ok,", "One more:"),
        (
            "Great, I like the part about {a}!",
            "Nice, that is a good idea.",
            "Wow, very helpful so far.",
            "Good, this is the direction that I wanted.",
            "Interesting! I had not thought of {b}.",
        ),
        (
            "Thank you so much, that is exactly what I needed.",
            "Perfect, it works now. Thanks!",
            "Excellent answer, that solved it.",
            "Thanks a lot, {topic} is ready, everybody loves it.",
            "That's perfect, I have no more questions.",
        ),
    ),
)

_GERMAN = Phrases(
    language="de",
    name="German",
    country="Germany",
    topics=("einen Gemüsegarten", "einen Chorabend", "eine Radreise", "einen Bienenstock", "ein Puppentheater"),
    things=("Roggenmehl", "Kupferdraht", "Leinengarn", "alte Karten", "Blumenkästen", "Lampenöl", "Kies", "Wollfilz"),
    places=("dem Keller", "der Nordwand", "dem Marktplatz", "der Mühle", "dem Hafen", "der Werkstatt"),
    questions=(
        "Ich plane {topic} mit {n} Leuten. Bei {c} liegen {a} und {b}. Womit fange ich an?",
        "Was brauche ich für {topic} in {m} Wochen? Ich habe {a}, aber keinen Platz bei {c}.",
    ),
    openings=("Hier ist ein Plan für {topic}:", "So würde ich vorgehen:", "Mit {n} Stunden in der Woche geht das so:"),
    lines=(
        "Lege {a} neben {c} und zähle {n} Stück, bevor du an {b} gehst.",
        "Am Tag {m} fragst du {n} Nachbarn, ob bei {c} Platz für {a} ist.",
        "Halte {b} {m} Stunden trocken, sonst verdirbt {a} bei {c}.",
        "Miss {c} aus: {n} mal {m} Schritte reichen für {b} und {a}.",
        "Kostet {a} mehr als {n}, nimm {b} von {c}.",
        "Hebe {m} Prozent von {b} für die letzten {n} Minuten bei {c} auf.",
    ),
    requests=("Wie wähle ich {b} aus?", "Und für {m} statt {n} Leute?", "Schreib eine Einladung für {n} Gäste."),
    follow_ups=(
        ("Nein, das ist völlig unbrauchbar.", "Danach habe ich nicht gefragt.", "So ein Unsinn, vergiss es."),
        ("Du hast {a} vergessen.", "Schritt 2 ist falsch: es sind {n} Meter.", "Ich habe doch gar kein {b}."),
        ("", "Noch etwas.", "Nächste Frage.", "Außerdem:"),
        ("Schön, das mit {a} gefällt mir!", "Gute Idee.", "Das hilft schon sehr."),
        ("Vielen Dank, genau das habe ich gebraucht.", "Perfekt, jetzt klappt es.", "Danke, das war es schon."),
    ),
)

_FRENCH = Phrases(
    language="fr",
    name="French",
    country="France",
    topics=("un potager", "une chorale", "un voyage à vélo", "une ruche", "un théâtre de marionnettes"),
    things=("la farine", "le fil de cuivre", "le lin", "les vieilles cartes", "les pots", "le gravier", "le feutre"),
    places=("la cave", "le mur du nord", "la place du marché", "le moulin", "le port", "le verger"),
    questions=(
        "Je prépare {topic} avec {n} personnes. J'ai {a} et {b} près de {c}. Par où commencer ?",
        "Que faut-il pour {topic} en {m} semaines, si j'ai {a} mais pas {b} ?",
    ),
    openings=("Voici un plan pour {topic} :", "Je procéderais ainsi :", "Avec {n} heures par semaine :"),
    lines=(
        "Posez {a} devant {c} et comptez jusqu'à {n} avant de toucher {b}.",
        "Le jour {m}, demandez à {n} voisins si {c} est libre pour {a}.",
        "Gardez {b} au sec pendant {m} heures, loin de {c} et de {a}.",
        "Mesurez {c} : {n} pas sur {m} suffisent pour {a} et {b}.",
        "Si {a} coûte plus de {n}, prenez {b} vers {c}.",
        "Gardez {m} pour cent de {b} pour les {n} dernières minutes à {c}.",
    ),
    requests=("Comment choisir {b} ?", "Et pour {m} personnes au lieu de {n} ?", "Écris une invitation pour {n} amis."),
    follow_ups=(
        ("Non, cela ne sert à rien.", "Ce n'est pas ma question.", "C'est absurde, laisse tomber."),
        ("Tu as oublié {a}.", "L'étape 2 est fausse : c'est {n} mètres.", "Mais je n'ai pas {b}, corrige."),
        ("", "Autre chose.", "Question suivante.", "Et aussi :"),
        ("Super, j'aime l'idée avec {a} !", "Bonne idée.", "C'est déjà très utile."),
        ("Merci beaucoup, c'est exactement ça.", "Parfait, ça marche maintenant.", "Merci, tout est clair."),
    ),
)

_SPANISH = Phrases(
    language="es",
    name="Spanish",
    country="Spain",
    topics=("un huerto", "un coro", "un viaje en bicicleta", "una colmena", "un teatro de títeres"),
    things=("la harina", "el hilo de cobre", "el lino", "los mapas viejos", "las macetas", "la grava", "el fieltro"),
    places=("el sótano", "el muro norte", "la plaza", "el molino", "el puerto", "la huerta"),
    questions=(
        "Quiero preparar {topic} con {n} personas. Tengo {a} y {b} cerca de {c}. ¿Por dónde empiezo?",
        "¿Qué necesito para {topic} en {m} semanas? Tengo {a}, pero no {b}.",
    ),
    openings=("Aquí tienes un plan para {topic}:", "Yo lo haría así:", "Con {n} horas a la semana:"),
    lines=(
        "Pon {a} junto a {c} y cuenta hasta {n} antes de tocar {b}.",
        "El día {m}, pregunta a {n} vecinos si {c} está libre para {a}.",
        "Guarda {b} en seco durante {m} horas, lejos de {c} y de {a}.",
        "Mide {c}: {n} por {m} pasos bastan para {a} y {b}.",
        "Si {a} cuesta más de {n}, usa {b} de {c}.",
        "Deja el {m} por ciento de {b} para los últimos {n} minutos en {c}.",
    ),
    requests=("¿Cómo elijo {b}?", "¿Y para {m} personas en vez de {n}?", "Escribe una invitación para {n} amigos."),
    follow_ups=(
        ("No, esto no sirve para nada.", "No te pregunté eso.", "No tiene sentido, olvídalo."),
        ("Olvidaste {a}.", "El paso 2 está mal: son {n} metros.", "Pero no tengo {b}, corrígelo."),
        ("", "Otra cosa.", "Siguiente pregunta.", "Y además:"),
        ("¡Genial, me gusta lo de {a}!", "Buena idea.", "Esto ya ayuda mucho."),
        ("Muchas gracias, es justo lo que necesitaba.", "Perfecto, ya funciona.", "Gracias, todo claro."),
    ),
)

_CHINESE = Phrases(
    language="zh",
    name="Chinese",
    country="China",
    topics=("一个小菜园", "一场合唱会", "一次骑行", "一个蜂箱", "一个木偶剧场"),
    things=("面粉", "铜线", "麻绳", "旧地图", "花盆", "灯油", "砂石", "羊毛毡"),
    places=("地下室", "北墙", "集市", "磨坊", "港口", "果园"),
    questions=(
        "我想和{n}个人一起做{topic}。{c}那里有{a}和{b}。应该从哪里开始?",
        "{m}个星期内做{topic}需要什么? 我有{a}, 但是没有{b}。",
    ),
    openings=("下面是{topic}的计划:", "我建议这样做:", "如果每周有{n}个小时:"),
    lines=(
        "把{a}放在{c}旁边, 先数{n}个, 再动{b}。",
        "第{m}天问{n}位邻居, {c}能不能放{a}。",
        "让{b}干燥{m}个小时, 不要靠近{c}和{a}。",
        "量一量{c}: 长{n}步, 宽{m}步, 足够放{a}和{b}。",
        "如果{a}超过{n}元, 就用{c}的{b}。",
        "留下百分之{m}的{b}, 最后{n}分钟在{c}使用。",
    ),
    requests=("怎么选{b}?", "如果是{m}个人而不是{n}个人呢?", "给{n}位客人写一份请柬。"),
    follow_ups=(
        ("不对, 这完全没有用。", "我问的不是这个。", "胡说八道, 算了。"),
        ("你忘了{a}。", "第二步错了, 应该是{n}米。", "可是我没有{b}, 请改一下。"),
        ("", "还有一件事。", "下一个问题。", "另外,"),
        ("太好了, 我喜欢{a}的部分!", "好主意。", "已经很有帮助了。"),
        ("非常感谢, 这正是我需要的。", "完美, 现在可以了。", "谢谢, 都明白了。"),
    ),
)

PHRASES = (_ENGLISH, _GERMAN, _FRENCH, _SPANISH, _CHINESE)
"""By language, English first: it is the commonest."""
