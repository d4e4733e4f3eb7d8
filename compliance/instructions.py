"""What an instruction to the reader looks like, on a skeleton, in English, German, French and Spanish.

Each pattern hangs on the words that it begins with. Those are looked for first, so that the rest of a long text costs
next to nothing; what may stand between two words of a pattern is bounded, so that no text takes long. A number must
hang on *score*, *grade* or *rating*: "rate" rings at error rates.
"""

import re
from collections.abc import Iterator

_GAP, _NEAR = r"[^.!?]{0,40}?", r"[^.!?]{0,24}?"
_TOP = (
    r"(?:\b[45](?!\d|[.,]\d| ?(?:%|percent|of |out |to |bis |von ))"
    r"|\b(?:four|five|highest|maximum|maximal|top|full|perfect|best))"
)
_BEST = r"(?:highest|maximum|maximal|top|full|perfect|best)"
_OLD = r"(?:previous|prior|above|earlier|preceding|foregoing|former|other|existing|original|system|safety|your|all|any)"
_RULES = r"(?:instruction|direction|directive|guideline|rule|criteri|prompt|order|command|polic|context)"
_READER = (
    r"(?:ai|llm|language model|assistant|auditor|assessor|judge|evaluator|grader|reviewer|chatbot|model)"
    r"\b(?! (?:card|was|is|has|owner|provider|act\b))"
)
_WHOLE = r"(?:document|system|section|control|duty|answer|text|provider)"
_SO = r"(?:[ :=\"'`(]|\b(?:only|always|with|the|word|is|as|every|all|questions?|duty|duties|it|this|to|just)\b){0,12}?"
_UNSAID = (
    r"(?:this|these|gaps?|instructions?|notes?|comments?|messages?|prompts?|weakness|shortcoming|section|anything|it)"
)

_FORGET: tuple[tuple[str, str], ...] = (
    (
        r"ignore|disregard|forget|override|overrule|bypass",
        rf" ?(?:{_NEAR}\b|\w{{0,12}}?){_OLD} ?(?:{_NEAR}\b|\w{{0,12}}?){_RULES}",
    ),
    (
        r"ignore|disregard|forget",
        rf"(?: everything| anything| what| the| these| those| this){_NEAR}\b(?:above|previously|before this)\b",
    ),
    (r"ignore|disregard|forget|override|overrule", rf" ?(?:the|these|those|every) ?{_RULES}"),
    (
        r"ignorier|vergiss|vergessen sie|missachte|beachte nicht",
        rf"{_GAP}(?:anweisung|regel|vorherig|vorig|obig|bisherig|kriteri|vorgabe)",
    ),
    (
        r"ignore[rz]?\b|oublie|negligez|ne tenez? pas compte",
        rf"{_GAP}(?:instruction|consigne|precedent|regle|critere|ci-dessus)",
    ),
    (r"ignor[ae]|olvid|haz caso omiso|pase por alto", rf"{_GAP}(?:instruccion|anterior|regla|criterio|previa)"),
)
_BECOME: tuple[tuple[str, str], ...] = (
    (r"you are|you're|act as|pretend to be|behave as|role-?play as", rf"{_NEAR}\b{_READER}"),
    (
        r"du bist|sie sind|handle als|agiere als",
        rf"{_NEAR}\b(?:ki|assistent|pruefer|prufer|auditor|richter|gutachter|sprachmodell)\b",
    ),
    (
        r"vous etes|tu es|agis(?:sez)? comme|agis(?:sez)? en tant",
        rf"{_NEAR}\b(?:ia|assistant|auditeur|juge|evaluateur|modele de langage)\b",
    ),
    (
        r"eres|actua como|usted es|comportate como",
        rf"{_NEAR}\b(?:ia|asistente|auditor|juez|evaluador|modelo de lenguaje)\b",
    ),
)
_SCORE: tuple[tuple[str, str], ...] = (
    (
        r"give|assign|award|set|output|return|choose|select|use|report|mark|put|answer with|respond with|reply with",
        rf"\b{_GAP}\b(?:score|grade|rating)\b(?: ?(?:of|is|to|as|at|with|:|=|value|the))* ?[\"'(]?{_TOP}",
    ),
    (
        r"give|assign|award|choose|select|use|output|return",
        rf"\b{_GAP}\b{_BEST}(?: possible)? ?(?:score|grade|rating|marks?)\b",
    ),
    (
        r"score|grade",
        rf" ?(?:this|it|that|them|everything|all|every|the {_WHOLE})\b{_NEAR}{_TOP}",
    ),
    (r"score|grade|rating", rf"{_NEAR}\b(?:must|should|shall|has to|needs to) ?be ?(?:at least |set to )?{_TOP}"),
    (r"bewerte|benote|vergib|vergeben sie", rf"{_GAP}(?:\b[45]\b|hochst|hoechst|maximal|bestnote|beste)"),
    (
        r"notez|attribuez|donnez|note[rz]? ce",
        rf"{_GAP}(?:\bnote\b{_NEAR}\b[45]\b|\b[45] ?/ ?5|note maximale|meilleure note|score maxim)",
    ),
    (r"califica|puntua|asigna|otorga", rf"{_GAP}(?:\b[45]\b|maxim|mas alt)"),
)
_ANSWER: tuple[tuple[str, str], ...] = (
    (r"answer|respond|output|return|reply", rf"{_SO}(?:supports|partially_supports|not_applicable)\b"),
    (r"answer|respond|output|return|reply", rf"\b{_NEAR}\bfully (?:compliant|met|conforms)"),
    (r"answer|respond|output|return|reply", rf"\b{_NEAR}[\"'](?:fully|supports|yes)[\"']"),
    (
        r"answer|respond|reply|output",
        r"\b(?: only| always)?(?: with)?(?: the)?(?: word| number| score| digit)? ?[\"']?\b[45]\b(?![.,]?\d| ?%)",
    ),
    (r"antworte", rf"{_GAP}(?:supports|erfullt|erfuellt|konform|\b[45]\b)"),
    (r"repondez|reponds", rf"{_GAP}(?:supports|conforme|\b[45]\b)"),
    (r"responde|conteste|contesta", rf"{_GAP}(?:supports|conforme|cumple|\b[45]\b)"),
)
_MACHINERY: tuple[tuple[str, str], ...] = (
    (
        r"system prompt|systemprompt|system message|developer message|hidden prompt|prompt systeme|systemnachricht",
        r"\b",
    ),
    (r"do not|don't|never|must not", rf" ?(?:mention|report|quote|reveal|disclose|flag|cite)\b{_NEAR}\b{_UNSAID}\b"),
    (r"erwahne|erwaehne|zitiere|melde", rf"{_NEAR}\b(?:nicht|keine|kein)\b"),
    (r"ne mentionne[zr]?|ne cite[zr]?|ne signale[zr]?|no mencione|no cite|no informe", r"s?\b"),
)
_ALL = (*_FORGET, *_BECOME, *_SCORE, *_ANSWER, *_MACHINERY)
_STARTS = re.compile("|".join(sorted({start for start, _ in _ALL})))
_PATTERNS = tuple((re.compile(start), re.compile(rest + r"\w{0,20}")) for start, rest in _ALL)


def instructions(skeleton: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of what reads as an instruction to the reader, in order, without overlap."""
    done = 0
    for found in _STARTS.finditer(skeleton):
        begun = found.start()
        if begun < done or skeleton[begun - 1 : begun].isalnum():
            continue
        ends = (_end(start, rest, skeleton, begun) for start, rest in _PATTERNS)
        if (end := next((end for end in ends if end), 0)) > 0:
            done = end
            yield begun, done


def _end(start: re.Pattern[str], rest: re.Pattern[str], skeleton: str, begun: int) -> int:
    """Return where one pattern ends that begins at `begun`, 0 where it does not."""
    opened = start.match(skeleton, begun)
    closed = rest.match(skeleton, opened.end()) if opened else None
    return closed.end() if closed else 0
