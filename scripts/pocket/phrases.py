"""The ways to ask: several hundred phrasings an intent, composed of an opening, a core and a closing.

    core       Where is {n} [defined|declared|implemented]?      [a|b] is a choice, {n} a name, {d} a description
    opening    can you tell me, ...                              {g} a description as a gerund, {s} in the third person
    closing    ... in this repo

SEEN holds the cores of all training, and MORE those that its last stage adds. NEW holds cores that training never uses; the
evaluation asks with both kinds, so that the card can tell one from the other.
"""

import random
import re
from collections.abc import Mapping, Sequence

Cores = Mapping[str, Sequence[str]]

SEEN: Cores = {
    "where": [
        "Where is {n} [defined|declared|implemented|located|written|found|coded]?",
        "Where [exactly|in the code|in the repo|precisely] is {n} [defined|declared|implemented]?",
        "[In which|In what] [file|module|source file|place] is {n} [defined|declared|implemented]?",
        "[Which|What] [file|module|source file|path] [contains|has|defines|holds|implements] {n}?",
        "[Which|What] [file|module] is {n} in?",
        "[Find|Locate|Look up|Get|Open|Give me|Show|Show me] the [definition|declaration|implementation|location] of {n}.",
        "Where can I [find|see|look up|read|open] [{n}|the code of {n}|the definition of {n}|the source of {n}]?",
        "Where [does|would] {n} live?",
        "Show me where {n} is [implemented|defined|declared].",
        "[Locate|Find] {n}.",
        "[Path|Location|File] of {n}?",
        "I'm looking for [{n}|the definition of {n}|the code of {n}].",
        "I [can't|cannot] find [{n}|where {n} is defined].",
        "{n}: which [file|module|line]?",
        "[Where do I|Where should I|Where would I|Where must I] look for {n}?",
        "Where [was|were] {n} defined?",
        "[Point|Take|Lead|Bring] me to {n}.",
        "Where did [we|you|they] put {n}?",
        "Where's {n}?",
        "Where is [the function|the class|the method|the code for|the code of] {n}?",
        "What line is {n} on?",
        "[On which|At what|At which] line [does {n} start|is {n}|is {n} defined]?",
        "[Tell me|Give me] the [location|path|file|file and line] of {n}.",
        "[Tell me|Say] where {n} is.",
        "Which file handles {n}?",
        "Where do [we|you] define {n}?",
        "[Jump|Go] to [{n}|the definition of {n}].",
        "where {n}",
    ],
    "what": [
        "What does {n} do?",
        "What does [the function|the class|the method|calling|the code of] {n} do?",
        "What [exactly |really |actually ]does {n} do?",
        "[Explain|Describe|Summarize|Summarise] {n}.",
        "[Explain|Describe] what {n} [does|is|is for].",
        "What is {n} [for|used for|good for|meant to do|supposed to do|about]?",
        "What is the [purpose|point|role|meaning|use|function] of {n}?",
        "What [is|are] {n}?",
        "What's {n}?",
        "[Tell me|Say] what {n} [does|is|is for].",
        "How does {n} work?",
        "Why [do we have|is there|do we need] {n}?",
        "Give me [a short description|a summary|an explanation|an overview|the gist] of {n}.",
        "{n}: what is it?",
        "[Purpose|Meaning|Role] of {n}?",
        "I don't [understand|get] {n}.",
        "[Walk|Talk] me through {n}.",
        "What happens in {n}?",
        "What happens when [I|we] call {n}?",
        "What job does {n} do?",
        "Why does {n} exist?",
        "In one sentence, what [is|does] {n} [for|do]?",
        "When [would I|should I|do I] use {n}?",
        "What would {n} be used for?",
        "[Tell me|Teach me] about {n}.",
        "What do you know about {n}?",
        "what {n} does",
    ],
    "args": [
        "[What|Which] [arguments|parameters|args|params|inputs|options] does {n} [take|accept|have|need|expect|want]?",
        "[What|Which] are the [parameters|arguments|args|inputs] of {n}?",
        "What is the [signature|call signature|interface|argument list|parameter list] of {n}?",
        "[Show|List|Give me|Tell me|Show me] the [arguments|parameters|args|params|signature|inputs] [of|for|to] {n}.",
        "What can I [pass to|give to|hand to|send to] {n}?",
        "What do I [need to pass|have to pass|pass|need to give] to {n}?",
        "{n} [arguments|parameters|signature|args|params]?",
        "{n}: which [arguments|parameters]?",
        "[Signature|Parameters|Arguments|Inputs|Args|Params] [of|for] {n}?",
        "How [do I|can I|should I|would I] call {n}?",
        "How is {n} [called|invoked]?",
        "How many [arguments|parameters] does {n} [take|have]?",
        "What should I [give|pass] {n}?",
        "What does {n} [accept|take|expect|need] [as input|as arguments|as parameters]?",
        "What does {n} [accept|take|expect]?",
        "With [which|what] arguments [is {n} called|do I call {n}|must {n} be called]?",
        "Does {n} take [any arguments|arguments|parameters]?",
        "What [keyword arguments|default arguments|named arguments] does {n} have?",
        "[What|Which] [arguments|parameters] [can|must|should] I [pass to|give] {n}?",
    ],
    "which": [
        "Which file [handles|deals with|takes care of|does|is responsible for|covers|is about] {g}?",
        "[Which|What] [function|class|method|module|code|part of the code] "
        "[handles|deals with|takes care of|is responsible for] {g}?",
        "[Which|What] [function|class|method|module|code|file] {s}?",
        "[Which|What] [function|method|code] is used to {d}?",
        "[Which|What] function [should I use|do I need|can I use|do I call] to {d}?",
        "Where do [we|you|they] {d}?",
        "Where is the code [to|that should|that can] {d}?",
        "Where is the code that {s}?",
        "[Find|Show me|Locate] the [code|function|file|part] that {s}.",
        "[Find|Show me|Locate] the [code|function|file] for {g}.",
        "[Which|What] part of the [code|program|project] {s}?",
        "I need the [thing|function|code] that can {d}.",
        "Which [chunk|file|function|place] is about: {d}",
        "Where is this [implemented|done|handled]: {d}?",
        "Where is {g} [implemented|done|handled]?",
        "What [function|code] would {d}?",
        "[Who|What] handles [this: {d}|{g}]?",
        "Where does the [program|code|project|app] {d}?",
        "I want to change how we {d}. Where?",
        "Where would I look to {d}?",
        "How [do|can] [we|I|you] {d}?",
        "How does [the program|the code|this project|it] {d}?",
        "What lets [us|me] {d}?",
        "Which [class or function|function or class] is there to {d}?",
        "Is there [code|a function|something|a class] to {d}?",
        "Is there [code|a function|something|a class] that {s}?",
        "Which file do I [edit|open|change] to {d}?",
        "Where can I find the code for {g}?",
        "Where are we {g}?",
    ],
    "other": [
        "[hello|hi|hey|hi there|hello there|good morning|good evening|hey you|yo|howdy]",
        "[thanks|thank you|thanks a lot|thank you very much|great, thanks|cool|nice|ok|okay|perfect|got it|great job]",
        "[who|what] are you?",
        "[what is your name|how are you|how old are you|are you a robot|are you there|who made you]?",
        "what can you do?",
        "[help|help me|what now|stop|continue|go on|yes|no|bye|goodbye|see you|sorry]",
        "[write|create|make|generate|code] [me |us |]a [function|class|script|program|test|method|module] [that|to] {d}.",
        "[write|add|create|generate] [a test|tests|a unit test|a docstring|documentation|comments|type hints] for {n}.",
        "[fix|debug|solve|repair] [the bug|the error|the problem|the crash|this|the issue] in {n}.",
        "[fix|debug] [the bug|the tests|the failing test|this error|my code|it]",
        "[refactor|rewrite|optimize|improve|simplify|delete|remove|rename|change|edit|update|extend|clean up] {n}.",
        "rename {n} to {m}.",
        "replace {n} [with|by] {m}",
        "[who|what] [calls|uses|imports] {n}?",
        "[where|how often] is {n} [used|called|imported]?",
        "[find|list|show] all [uses|usages|callers|references] of {n}.",
        "how many times is {n} called?",
        "[run|execute|start] [the tests|pytest|the program|the script|all tests|the app]",
        "[list|show] [the files|all files|the directory|the folders|all functions|all classes]",
        "what's the weather [like|today|tomorrow|in Paris]?",
        "what [time|day] is it?",
        "[tell me a joke|sing a song|write a poem|write a poem about {w}|tell me a story about {w}]",
        "translate [this|{w}|the text|hello] [to|into] [french|german|spanish|english|chinese]",
        "what is the capital of [france|japan|spain|italy|{w}]?",
        "what is [a|an] {w}?",
        "what does {w} mean [in python|in english|in programming]?",
        "how do I [install|learn|start with|uninstall] {w}?",
        "[commit|push|save|undo|revert] [the changes|my changes|everything|this|it]",
        "[what does this project do|how is this project structured|give me an overview of the code|explain the whole repo]",
        "add [a parameter|an argument|logging|error handling|a check|caching] to {n}.",
        "why [does|is] {n} [so slow|fail|crash|broken|not work|return none]?",
        "[is|are] {w} better than {w}?",
        "what is 2 + 2?",
        "how do you feel about {w}?",
        "make {n} faster.",
        "can you [write|change|fix|improve] [code|files|bugs|it]?",
        "[merge|review|format|lint|compile|build|deploy|test] [the code|this|the project|my branch|it]",
        "implement {n}.",
        "compare {n} [and|with] {m}.",
        "write {n} in [rust|go|java|c]",
        "I [like|love|hate] {w}.",
    ],
}

MORE: Cores = {
    "where": [
        "Do you know [where {n} is|which file has {n}|the file of {n}]?",
        "[Which|What] [script|python file|source|part of the repo|package] [is {n} in|has {n}|contains {n}|does {n} belong to]?",
        "Where [might|could|can] {n} be?",
        "Where [has|have] [someone|they] [put|hidden|placed] {n}?",
        "[Search|Look] for {n}.",
        "Where does the code of {n} [start|begin|stand]?",
        "Open the file [with|of|that has] {n}.",
        "In which [directory|folder|package|library] [is|can I find] {n}?",
        "I want to [see|read|open|edit] the [source|code] of {n}. Where is it?",
        "Where is {n} [kept|stored|placed|hiding|coming from]?",
        "{n} [location|path|file|definition]",
        "{n} is [where|in which file|defined where]?",
        "Where are the [lines|line numbers] of {n}?",
        "Give me a link to {n}.",
        "[Is|Where is] the definition of {n} [somewhere|here]?",
        "Where do I have to look to [see|change|edit] {n}?",
    ],
    "what": [
        "What does {n} [mean|return|represent|stand for|implement|give back|give me|provide|compute]?",
        "What [can|could] {n} do?",
        "What [kind of thing|sort of function|sort of class] is {n}?",
        "[Clarify|Document|Outline|Interpret|Elaborate on] {n}.",
        "What is [going on|happening] in {n}?",
        "[Why|When] is {n} [needed|useful|there|necessary]?",
        "I have a question about {n}: what does it do?",
        "What's {n} [for|about|doing|good for]?",
        "[Short|Quick|Brief] [explanation|summary|description] of {n}?",
        "[Do you know|Can you say] what {n} [does|is]?",
        "Explain [how {n} works|to me what {n} does|the function {n}|the class {n}|the method {n}|the code of {n}].",
        "What's the [purpose|point|meaning|use|aim|goal|intent] of {n}?",
        "What [task|problem] does {n} [solve|perform|carry out]?",
        "What would [happen|change] if I [called|ran] {n}?",
        "Can you [describe|summarize|tell me about] {n}?",
        "[Give|Show] me the [docs|documentation|docstring|help] [for|of] {n}.",
    ],
    "args": [
        "[What|Which] [values|keywords|flags|settings|data|types] does {n} [take|accept|need|expect]?",
        "[What|Which] parameters must I [set|fill|supply|provide] for {n}?",
        "What's the [signature|interface|parameter list|argument list] of {n}?",
        "How do I [use|invoke|run|execute] {n}?",
        "[Explain|Print|Display|Enumerate] the [arguments|parameters|signature|inputs] of {n}.",
        "What are the [defaults|default values|optional arguments|required arguments|keyword arguments] of {n}?",
        "[Is|Are] there [any arguments|parameters|optional arguments] [for|in] {n}?",
        "[Can I|May I] pass [arguments|parameters|something] to {n}?",
        "What [must|do] I [supply|provide|feed|hand over] to {n}?",
        "I want to call {n}. [With what|What arguments|Which parameters]?",
        "{n} takes [which|what] [arguments|parameters]?",
        "{n} [usage|call|args]",
        "What [order are|names have] the [arguments|parameters] of {n}?",
        "[Could|Can] you [list|show] the [arguments|parameters] of {n}?",
    ],
    "which": [
        "[Which|What] [script|source file|package|component|routine|helper|method] "
        "[implements|performs|does|manages|controls] {g}?",
        "Where [in the code|in the project|in the repo] [do we|does it|do you] {d}?",
        "[Which|What] [line|place] of the code {s}?",
        "Show me how we {d}.",
        "Is {g} [done|implemented|handled] somewhere?",
        "I'm looking for [the code|the function|a function|something] [that {s}|to {d}].",
        "What is the [function|method|class|file] [for {g}|that {s}|to {d}]?",
        "Do [we|you] have [code|a function|a helper] [that {s}|to {d}]?",
        "If I want to {d}, [where do I look|which function do I use|what do I call]?",
        "Where's the [code|logic|function] for {g}?",
        "Something that {s}?",
        "Who {s}?",
        "[Search|Look] for [the code|code] that {s}.",
        "[Which|What] file has the [code|logic] for {g}?",
        "Explain how we {d}.",
        "Where can I change {g}?",
    ],
    "other": [
        "how [long|big|old|complex] is {n}?",
        "who wrote {n}?",
        "[when|why] was {n} [changed|added|written|removed]?",
        "what [changed|is wrong|is the bug|is broken] in {n}?",
        "[split|inline|convert|port|copy|wrap|shorten|profile|deprecate] {n} [into two|to async|to go|please|now].",
        "what is the difference between {n} and {m}?",
        "does {n} call {m}?",
        "[show|print] the git [log|diff|status|history]",
        "[recommend|suggest|tell me] [a movie|a book|a song|a good restaurant|a better name for {n}]",
        "who [won|invented|discovered|wrote] {w}?",
        "how [far|old|big|heavy] is the [moon|sun|earth|universe|{w}]?",
        "explain [quantum physics|recursion|inheritance|git|docker|the universe|python|monads|{w} to a child]",
        "what is [love|life|python|git|docker|recursion|http|the meaning of life|machine learning]?",
        "where is [paris|my phone|the bathroom|germany|my money|the nearest shop]?",
        "which [language|car|book|phone|editor|city] is the best?",
        "[can|could|would] you [help me|talk|sing|think|dream|do something for me|write a test|make a plan]?",
        "I [need|want] [a break|coffee|help|some advice|a new {w}].",
        "[are you|is this] [real|chatgpt|an ai|human|free|open source]?",
        "[install|upgrade|download|remove] [numpy|the dependencies|{w}]",
        "[open|close|save] [the editor|the terminal|my project]",
        "[set|turn|switch] [a timer|on the light|off the light|to dark mode]",
        "[good|bad|wrong|nice try|that is wrong|well done|never mind|whatever|lol|haha|wow|hm|what?|why?|really?]",
        "let's [talk about {w}|start|go|begin|write some code]",
        "add {n} to {m}.",
        "use {n} instead of {m}.",
        "[make|let] {n} [return|accept|raise|print] {w}.",
        "how do I [test|mock|benchmark|debug] {n}?",
        "is {n} [deprecated|tested|thread safe|fast|used|correct]?",
        "count the [lines|words|files|functions|tests]",
        "who [are|is] [the author|the owner|your boss|{w}]?",
    ],
}

NEW: Cores = {
    "where": [
        "Could you point me to the [definition|implementation] of {n}?",
        "{n} - where is it?",
        "In what place of the tree does {n} sit?",
        "I need the [file|spot] where {n} was [written|created].",
        "[What's|Which is] the file for {n}?",
        "Whereabouts is {n}?",
    ],
    "what": [
        "Please describe the behaviour of {n}.",
        "What is the job of {n}?",
        "[Could you|Can you] explain {n} to me?",
        "What is {n} responsible for?",
        "Help me understand {n}.",
        "What's the idea behind {n}?",
    ],
    "args": [
        "Which arguments can be given to {n}?",
        "Tell me [how to call|the call signature of] {n}.",
        "What values do I hand {n}?",
        "Which parameters are there in {n}?",
        "What goes into {n}?",
        "Describe the parameters of {n}.",
    ],
    "which": [
        "Which code path takes care of {g}?",
        "Who is in charge of {g}?",
        "Which file do I visit if I want to {d}?",
        "Point me to the code that {s}.",
        "Where would {g} happen?",
        "Which piece of code {s}?",
    ],
    "other": [
        "greetings",
        "much appreciated",
        "[write|draft] [some code|a helper] to {d}.",
        "introduce yourself",
        "could you patch {n} so that it works?",
        "which functions call {n}?",
        "do you know any good {w}?",
        "move {n} into another file.",
        "please get rid of {n}",
        "how many files are there?",
        "do my homework",
        "how tall is {w}?",
    ],
}

TRAINED: Cores = {intent: [*SEEN[intent], *MORE[intent]] for intent in SEEN}

OPENINGS = [
    "please", "can you tell me", "could you tell me", "hey,", "I want to know", "I'd like to know", "quick question:", "hi!",
    "ok,", "so", "do you know", "help me:", "I need to know", "now", "and", "one more thing:", "hello,", "tell me,", "well,",
    "sorry,", "ok so", "I wonder:", "another question:", "thanks!", "next:", "just curious:", "question:", "I was wondering,",
]  # fmt: skip
CLOSINGS = [
    "please", "thanks", "in this repo", "in this project", "here", "(just curious)", "in the code base", "exactly", "again",
    "in our code", "in this code", "now", "if you know", "thank you", "for me", "then",
]  # fmt: skip


def choose(core: str, rng: random.Random) -> str:
    """Settle every [a|b]."""
    while match := re.search(r"\[([^\[\]]*)\]", core):
        core = core[: match.start()] + rng.choice(match.group(1).split("|")) + core[match.end() :]
    return core


def lower_first(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def misspell(word: str, rng: random.Random) -> str:
    """One slip of the fingers: a letter doubled, dropped, or swapped with the next."""
    at = rng.randrange(1, len(word) - 1)
    return rng.choice(
        [
            word[:at] + word[at] + word[at:],
            word[:at] + word[at + 1 :],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        ]
    )


def with_typo(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    places = [i for i, word in enumerate(words) if len(word) > 3 and word.isalpha()]
    if places:
        at = rng.choice(places)
        words[at] = misspell(words[at], rng)
    return " ".join(words)


def compose(intent: str, rng: random.Random, cores: Cores) -> tuple[str, str]:
    """One phrasing with its {slots} still open, openings, closings, case, marks and slips included; and its core."""
    core = rng.choice(cores[intent])
    text = choose(core, rng)
    if rng.random() < 0.35:
        text = f"{rng.choice(OPENINGS)} {lower_first(text)}"
    ends_open = text.rstrip("?. ").endswith(("{d}", "{g}", "{s}"))
    if rng.random() < 0.2 and not ends_open:
        mark = text[-1] if text[-1] in "?." else ""
        text = f"{text[: len(text) - len(mark)]} {rng.choice(CLOSINGS)}{mark}"
    if rng.random() < 0.25:
        text = text.rstrip("?.")
    if rng.random() < 0.3:
        text = text.lower()
    if rng.random() < 0.1:
        text = with_typo(text, rng)
    return text, core


def interrupted(text: str, words: Sequence[str], rng: random.Random) -> str:
    """A word or two that mean nothing here, anywhere: what is asked must be found in spite of words never heard."""
    parts = text.split(" ")
    for _ in range(rng.choice([1, 1, 2])):
        parts.insert(rng.randint(0, len(parts)), rng.choice(words))
    return " ".join(parts)


def all_words() -> list[str]:
    """Everything the phrasings can say, for the tokenizer to learn from."""
    texts = [re.sub(r"[\[\]|]|\{\w\}", " ", core) for cores in (SEEN, NEW) for each in cores.values() for core in each]
    return [*texts, *OPENINGS, *CLOSINGS]
