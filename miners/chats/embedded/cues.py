"""Cues: what people say when a reply fell short, did well, or cannot be told from the words alone; in eight languages.

Patterns are read against lower-case text with straight apostrophes. A cue is a feature and no verdict: its weight is
learned. `OPENINGS` are looked for where a text begins only.
"""

from collections.abc import Mapping
from types import MappingProxyType

_START = r"^[^\p{L}\p{N}]*"
_FILLER = r"(?:(?:ok|okay|oh|hmm+|um+|well|sorry|please|hey|hi|yes|yeah|so|and|but)\b[^\p{L}\p{N}]*)?"

_THANKS = (
    r"thank|\bthx\b|\bty\b|\btnx\b|gracias|merci\b|\bdanke|vielen dank|спасибо|благодарю|obrigad"
    r"|谢谢|感谢|多谢|謝謝|ありがと|감사|고마"
)
_PRAISE = (
    r"\bgreat\b|\bgood (?:job|work|one|stuff|idea|answer|point|start)|\bperfect|\bawesome|\bexcellent"
    r"|\bamazing|\bbrilliant"
    r"|\bfantastic|\bwonderful|\bnice\b|\bcool\b|\blove (?:it|this|that)|well done|\bwow\b|\bbravo\b"
    r"|\bbingo\b|\bsuperb"
    r"|very (?:helpful|useful|good|interesting|nice)|much better|\bimpressive|that helps|looks good|that's good"
    r"|\bgenial\b|\bperfecto|excelente|\bmuy bien|\bsuper\b|\bparfait|\bgénial|\btoll\b|\bprima\b"
    r"|\bklasse\b|perfekt|\bsehr gut"
    r"|отлично|супер|классно|здорово|прекрасно|ótimo|perfeito|muito bom|\bbom trabalho|太好了|很好"
    r"|完美|不错|太棒|厉害"
    r"|素晴らしい|すごい|完璧|いいね|좋아|완벽"
)
_NO = (
    r"(?:no|nope|nah|wrong|incorrect|false|not (?:correct|right|true|quite|what|exactly|really)"
    r"|that's (?:not|wrong|incorrect)"
    r"|that is (?:not|wrong|incorrect)|this is (?:not|wrong|incorrect)|isn't|it's (?:not|wrong)"
    r"|i (?:didn't|did not) (?:ask|mean|say|want)"
    r"|nein|non|нет|não|falsch|faux|неверно|неправильно|errado|incorrecto)\b|不对|不是|错了|違|いいえ"
    r"|ちがう|아니"
)
_AGAINST = (
    r"(?:but|however|still|again|except|actually|almost|close|aber|mais|pero|но|mas|trotzdem)\b|但是"
    r"|可是|でも|하지만"
)

OPENINGS: Mapping[str, str] = MappingProxyType(
    {
        "thanks": rf"{_START}{_FILLER}(?:{_THANKS})",
        "praise": rf"{_START}{_FILLER}(?:(?:that|this|it|those|these)(?:'s| is| are| was| were|) (?:very "
        rf"|really |so |pretty )?)?(?:{_PRAISE})",
        "no": rf"{_START}{_FILLER}(?:{_NO})",
        "against": rf"{_START}(?:{_AGAINST})",
        "assent": rf"{_START}(?:yes|yeah|yep|ok|okay|sure|right|correct|exactly|got it|i see|alright|sí|oui|ja"
        rf"|да|sim|好的|はい)\b",
        "sorry": rf"{_START}(?:sorry|my bad|apologies|i meant|i mean)\b",
        "question": rf"{_START}(?:and |so |but |ok |okay )?(?:what|how|why|who|where|when|which|can|could|is"
        rf"|are|do|does|did|will"
        r"|would|should|may|qué|cómo|comment|pourquoi|wie|was|warum|как|что|почему|como|什么|怎么|为什么)\b",
        "order": rf"{_START}(?:please |pls |now |then |next |ok |okay |and |also )*(?:write|make|give|create"
        rf"|generate|list|explain|tell"
        r"|show|add|describe|summari[sz]e|rewrite|translate|convert|provide|expand|continue|go on|next"
        r"|suggest|change|use|include"
        r"|define|compare|find|let's|lets|do|turn|put|remove|replace|i want|i need|i would like|i'd like)\b",
        "continue": rf"{_START}(?:please )?(?:continue|go on|keep going|carry on|next|more|proceed|weiter"
        rf"|continua|continúa|continue[zr]?"
        r"|дальше|продолж|继续|続け|계속)",
        "subject": rf"{_START}(?:it|this|that|the|there|your|you|these|they|none|nothing)\b",
    }
)
"""By name, what a follow-up begins with."""

CUES: Mapping[str, str] = MappingProxyType(
    {
        "thanks": _THANKS,
        "praise": _PRAISE,
        "solved": r"\b(?:it|that|this|everything|now) (?:now )?(?:works|worked|is working|fixed|did it|solved"
        r"|runs)\b|works (?:now|perfectly|fine|great)"
        r"|exactly what i|just what i|solved (?:it|my|the)|\bthat was it\b|fixed it|nailed it"
        r"|functioniert jetzt|jetzt (?:klappt|geht|funktioniert)"
        r"|ya funciona|ça marche|теперь работает|заработало|agora funciona|可以了|解决了|できました|動きました",
        "failing": r"(?:doesn't|does not|doesnt|didn't|did not|didnt|don't|isn't|isnt|is not|not|won't|wont"
        r"|never|stopped|no longer)"
        r" (?:seem to |really |even |actually )?(?:work|run|compile|return|show|load|appear|start|help"
        r"|fix|exist|display|do anything|update|render)"
        r"|\b(?:it|this|that|code|script|command|macro|function|formula|solution|test|build|page"
        r"|app)(?: still| now| just)? (?:fails|failed|crashes|crashed|breaks|broke|hangs|freezes)\b"
        r"|nothing happen|same (?:error|issue|problem|result|thing)|still (?:get|not|the same|doesn't"
        r"|fail|wrong|broken|see|having|have|throw|no)"
        r"|empty (?:screen|page|output|result|list)|blank (?:screen|page)|no (?:output|effect|change|luck)\b"
        r"|no funciona|ne (?:marche|fonctionne) pas|(?:funktioniert|geht|klappt) (?:immer noch |leider "
        r"|auch |so )?nicht|не работает|não (?:funciona|funcionou)"
        r"|不行|没用|不能用|无法|报错|動かない|動きません|안 ?돼|작동하지",
        "error": r"traceback \(most recent|\b\p{L}*(?:error|exception)\b ?:|\berror:|\berror \p{L}{0,3}\d{3,}"
        r"|uncaught|undefined reference|segmentation fault|unexpected token"
        r"|syntaxerror|typeerror|valueerror|attributeerror|nameerror|keyerror|importerror|modulenotfound"
        r"|has no attribute|is not (?:defined|a function|recognized)"
        r"|cannot (?:find|resolve|read|import|convert)|can't resolve|no such file|permission denied"
        r"|not found in|command not found|exit (?:code|status) [1-9]"
        r"|\bat \S+ ?\([^)]*:\d+:\d+\)|\bline \d+, in |failed to|compile error|build failed|run-?time error",
        "reports": r"\b(?:i'm|i am|im|i|we|we're|it|now|this|that|which) ?(?:now |still |just |also |keep "
        r"|kept |always )?(?:get|got|gets|getting|gave|gives|see|seeing|receive|received|throws"
        r"|threw|returns|says|shows|printed|prints)"
        r" (?:me )?(?:now )?(?:this |the |an? |these |following |some |another |same |different "
        r"|that )*(?:\S+ )?(?:error|exception|warning|issue|message|traceback|errors)"
        r"|following error|getting (?:an? )?error|gives? (?:me )?(?:an? )?error|got (?:an|this"
        r"|another) error|fix (?:the|this|that|these) (?:error|bug|issue)|resolve (?:the|this"
        r"|these) error"
        r"|me sale (?:un|este) error|j'ai (?:une|cette) erreur|bekomme (?:ich )?(?:einen|den|diesen"
        r"|folgenden|jetzt).{0,20}fehler|выдает ошибку|ошибка|dá erro|deu erro|エラー|오류|错误|錯誤",
        "wrong": r"\b(?:wrong|incorrect|inaccurate|mistaken?|mistakes|not (?:correct|true|right|accurate)"
        r"|isn't (?:correct|true|right)|false|nonsense|makes no sense|doesn't make sense|contradict)"
        r"|\bfalsch|\bfaux\b|erreur|incorrecto|\bestá mal|equivocad|неверн|неправильн|ошибся|errad[oa]"
        r"|不对|错了|不正确|間違|違います|틀렸",
        "complaint": r"\byou (?:just |have |also |still |only |always |keep |completely |totally )*(?:forgot"
        r"|missed|ignored|skipped|didn't|did not|didnt|haven't|have not|failed|left out|repeated"
        r"|contradict|misunderst|keep|gave me the|lost|stopped|said|told|wrote|used|mixed|changed"
        r"|removed|dropped)"
        r"|\bi (?:already |just |clearly |explicitly |specifically )?(?:asked|told you|said|specified"
        r"|wanted|meant|requested)\b|not what i|that's not|i didn't ask|i don't (?:want|like|see|think)"
        r"|instead of what|where (?:is|are) the (?:rest|other)|\bmissing\b|there (?:is|are) no\b"
        r"|isn't (?:a|the|what)\b|aren't\b|instructions?\b.{0,30}(?:ignored|follow)"
        r"|olvidaste|te pedí|te dije|tu as oublié|j'ai demandé|vergessen|ich (?:habe"
        r"|hatte) .{0,30}(?:gesagt|gefragt|gebeten)|ты забыл|я (?:просил|спрашивал|сказал)|você esqueceu"
        r"|eu pedi"
        r"|你忘|我问的|我说的|我要的|忘れて|じゃなくて|ではなく",
        "cut": r"cut(?:s|ting)? ?off|got cut|was cut|\bincomplete|unfinished|not (?:finished|complete)"
        r"|stopped (?:in|mid|abruptly|half)|didn't finish|did not finish|truncated"
        r"|rest of the (?:code|answer|response|text)"
        r"|complete (?:it|response|answer|the code)|abgeschnitten|cortó|coupé|оборвал|没写完|断了|途切れ"
        r"|途中で",
        "retry": r"\b(?:try|do|write|answer|generate|read|check|look|start|explain|calculate) (?:it |this "
        r"|that |the \p{L}+ )?(?:once )?(?:again|over)\b|\bredo\b|\bretry\b|another (?:go|try)"
        r"|rephrase|re-?do|\bregenerate|once more|correct (?:it|this|that|your|the)\b|fix (?:it|this"
        r"|that|your)\b"
        r"|otra vez|de nuevo|encore une fois|refais|noch ?mal|ещё раз|еще раз|заново|de novo|重新|再来"
        r"|再试|もう一度|やり直|다시",
        "better": r"\b(?:write|make|give|do|need|want)\b.{0,25}\bbetter\b|too (?:long|short|formal|generic"
        r"|complicated|vague|simple|wordy|many|much|basic|broad)\b|\bshorter\b|more (?:specific"
        r"|accurate)|not (?:enough|good|funny|specific|detailed)|so (?:long|generic)"
        r"|zu (?:lang|kurz|allgemein|kompliziert)|demasiado|muy (?:largo|corto)|trop (?:long|court"
        r"|compliqué)|слишком|muito (?:longo|curto)|太长|太短|长すぎ|短すぎ",
        "anger": r"\b(?:useless|stupid|idiot|terrible|horrible|awful|garbage|trash|crap|bullshit|wtf|fuck\w*"
        r"|dumb|moron|pathetic|ridiculous|worthless|waste of (?:my )?time|forget it|never ?mind"
        r"|give up|sucks|rubbish|nonsense|lying|liar)\b"
        r"|not (?:helpful|helping|useful)|unhelpful|inútil|no sirve|nul\b|inutile|nutzlos|unbrauchbar"
        r"|quatsch|unsinn|бесполезн|чушь|бред|тупой|lixo|垃圾|没有用|废话|胡说|役に立たない|ふざけ|쓸모",
        "doubt": r"are you sure|really\?|is (?:that|this|it) (?:correct|right|true)|i (?:don't think|doubt"
        r"|thought)|isn't (?:it|that)|shouldn't|double ?check|you sure|i can't find|could not find"
        r"|cannot find|don't exist|doesn't exist|does not exist"
        r"|bist du sicher|estás seguro|tu es sûr|ты уверен|tem certeza|你确定|本当\?",
        "expects": r"\b(?:should be|should have|should not|shouldn't|supposed to|must be|has to be|instead of"
        r"|rather than|needs? to be|only (?:has|have|gave|returns?)|correct (?:answer|value|one))\b"
        r"|a real|not just\b",
    }
)
"""By name, what may stand anywhere."""

APOLOGY = (
    r"\bsorry\b|apolog|you are (?:correct|right)|you're (?:correct|right)|my mistake|confusion"
    r"|entschuldig|disculpa|désolé|извин|desculp|抱歉|对不起|申し訳"
)
REFUSAL = (
    r"as an ai|i (?:cannot|can't|am unable|am not able|don't have (?:access|the ability))"
    r"|i'm (?:unable|not able|sorry, but)|无法|ich kann (?:leider )?nicht"
)
"""What a reply may say of itself."""
