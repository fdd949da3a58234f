"""Block tokens to safe HTML: the parser's set-up, renderer rules, code colours, and the sanitizer behind them all.

Model output is untrusted. Raw HTML is text, links are http(s) and mailto, remote images are links, and whatever the renderer
makes passes an allow-list (nh3). Code frames are put in after it: our own template around text that is escaped or passed one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from functools import lru_cache
from html import escape, unescape
from typing import Any, Final
from urllib.parse import urlsplit

import nh3
from django.template.loader import get_template
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore, text_join
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import STANDARD_TYPES
from pygments.util import ClassNotFound

from chat import markdown_cjk, markdown_math

CODE_COLOUR_CHARS: Final = 100_000
"""Longer code stays plain."""
_LANGUAGE_CHARS: Final = 40
_SCHEMES: Final = ("http", "https", "mailto")
_ALIGNED: Final = {"text-align:right": "end", "text-align:center": "mid"}
_CHECKBOX: Final = re.compile(r"\[([ xX])\]\s")
_FRAME: Final = re.compile(r'<hr class="f(\d+)">')

_CODE_CLASSES: Final = {name for name in STANDARD_TYPES.values() if name}
_TAGS: Final = (
    *("p", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "em", "strong", "s", "a", "code", "br", "hr"),
    *("table", "thead", "tbody", "tr", "th", "td", "div", "span", "input"),
)
_ATTRIBUTES: Final = {
    "a": {"href", "title"},
    "ol": {"start"},
    "th": {"scope"},
    "hr": {"class"},
    "div": {"tabindex", "role", "aria-label"},
    "input": {"type", "disabled", "checked"},
}
_CLASSES: Final = {
    "div": {"wide", "math", "math-block"},
    "span": {"math"},
    "th": {"end", "mid"},
    "td": {"end", "mid"},
    "li": {"task"},
}
_formatter: Final = HtmlFormatter(nowrap=True)


def clean(html: str) -> str:
    """What the allow-list leaves of rendered markdown."""
    return nh3.clean(
        html,
        tags=set(_TAGS),
        attributes=_ATTRIBUTES,
        allowed_classes=_CLASSES,
        url_schemes=set(_SCHEMES),
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )


def make_parser() -> MarkdownIt:
    """CommonMark with tables, strikethrough and formulas; without HTML, and without definitions that act from far below."""
    md = MarkdownIt("commonmark", {"html": False, "maxNesting": 100})
    md.enable(["table", "strikethrough"]).disable(["html_block", "html_inline", "reference"])
    markdown_cjk.install(md)
    markdown_math.install(md)
    md.validateLink = _is_link  # type: ignore[method-assign]
    md.add_render_rule("fence", _render_code)
    md.add_render_rule("code_block", _render_code)
    md.add_render_rule("image", _render_image)
    md.add_render_rule("math_inline", _render_math)
    md.add_render_rule("math_inline_double", _render_math)
    md.add_render_rule("math_block", _render_math)
    md.add_render_rule("table_open", _render_table_open)
    md.add_render_rule("table_close", lambda *_: "</table></div>")
    return md


def parse_blocks(text: str) -> list[Token]:
    """Block tokens of normalised text; inline content is not parsed yet."""
    tokens: list[Token] = []
    _parser.block.parse(text, _parser, {}, tokens)
    return tokens


def render_tokens(tokens: Sequence[Token], code_id: str, deadline: float) -> SafeString | None:
    """HTML of one top-level block, None after `deadline` (this thread's processor seconds). The tokens are used up.

    `code_id` is the id of the block's `<code>` if it is a fence.
    """
    for token in tokens:
        if token.type == "inline":
            if time.thread_time() > deadline:
                return None
            token.children = []
            _parser.inline.parse(token.content, _parser, {}, token.children)
    state = StateCore("", _parser, {}, list(tokens))
    text_join(state)
    for number, token in enumerate(state.tokens):
        _adapt(state.tokens, number, token)
    frames: list[str] = []
    env: dict[str, Any] = {"frames": frames, "code_id": code_id if tokens[0].type == "fence" else ""}
    html = clean(_parser.renderer.render(state.tokens, _parser.options, env))
    return mark_safe(_FRAME.sub(lambda match: frames[int(match[1])], html).strip())  # noqa: S308 - passed the allow-list


def _adapt(tokens: list[Token], number: int, token: Token) -> None:
    """Our variants of what CommonMark makes: headings begin at h3, cells have classes and scope, `[x]` is a box."""
    if token.type in ("heading_open", "heading_close"):
        token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
    elif token.type in ("th_open", "td_open"):
        style = str(token.attrs.pop("style", ""))
        if token.type == "th_open":
            token.attrs["scope"] = "col"
        if style in _ALIGNED:
            token.attrs["class"] = _ALIGNED[style]
    elif token.type == "inline" and token.children:
        token.children = markdown_cjk.join_lines(token.children)
        if number >= 2 and tokens[number - 2].type == "list_item_open":
            _make_task(tokens[number - 2], token.children)


def _make_task(item: Token, children: list[Token]) -> None:
    first = children[0]
    box = _CHECKBOX.match(first.content) if first.type == "text" else None
    if box is None:
        return
    first.content = first.content[box.end() :]
    item.attrs["class"] = "task"
    checkbox = Token("checkbox", "input", 0, attrs={"type": "checkbox", "disabled": ""})
    if box[1] != " ":
        checkbox.attrs["checked"] = ""
    children.insert(0, checkbox)


def _is_link(url: str) -> bool:
    try:
        return urlsplit(url).scheme.lower() in _SCHEMES
    except ValueError:
        return False


def _render_image(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """A link that names the host: nothing is fetched from elsewhere because a model says so."""
    url = str(tokens[index].attrs.get("src", ""))
    alt = renderer.renderInlineAsText(tokens[index].children, options, env)
    host = urlsplit(url).hostname or url
    return f'<a href="{escape(url)}">{escape(f"{alt} ({host})" if alt else host)}</a>'


def _render_math(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    source = escape(tokens[index].content.strip(), quote=False)
    if tokens[index].type == "math_block":
        return f'<div class="math math-block">{source}</div>'
    return f'<span class="math">{source}</span>'


def _render_table_open(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    label = escape(gettext("Table"))
    return f'<div class="wide" tabindex="0" role="group" aria-label="{label}"><table>'


def _render_code(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """A stand-in that `render_tokens` replaces: text cannot forge it, since a `<` in text is escaped."""
    token = tokens[index]
    env["frames"].append(code_frame(token.info, colour(token.content.removesuffix("\n"), token.info), env["code_id"]))
    return f'<hr class="f{len(env["frames"]) - 1}">'


def code_frame(info: str, code_html: str, code_id: str = "") -> str:
    """The figure around code: language, buttons, text. `code_html` must be safe."""
    word = _language_word(info)
    lexer = _find_lexer(word)
    label = lexer.name if lexer else word or gettext("Text")
    extension = lexer.filenames[0].rpartition(".")[2] if lexer and lexer.filenames else ""
    safe = mark_safe(code_html)  # noqa: S308 - escaped, or through the allow-list
    context = {"label": label, "code": safe, "code_id": code_id, "extension": extension if extension.isalnum() else ""}
    return get_template("chat/_code.html").render(context).strip()


def colour(code: str, info: str) -> str:
    """Escaped code with Pygments' classes, if the language is known and the colouring loses no character."""
    lexer = _find_lexer(_language_word(info)) if len(code) <= CODE_COLOUR_CHARS else None
    if lexer is None or not code:
        return escape(code, quote=False)
    html = nh3.clean(highlight(code, lexer, _formatter), tags={"span"}, attributes={}, allowed_classes={"span": _CODE_CLASSES})
    html = html.removesuffix("\n") if not code.endswith("\n") else html
    return html if _text_of(html) == code else escape(code, quote=False)


def _text_of(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html))


def _language_word(info: str) -> str:
    words = unescape(info).split()
    return words[0][:_LANGUAGE_CHARS] if words else ""


@lru_cache(maxsize=256)
def _find_lexer(word: str) -> Lexer | None:
    try:
        return get_lexer_by_name(word, stripnl=False, ensurenl=False) if word else None
    except ClassNotFound:
        return None


_parser: Final = make_parser()
