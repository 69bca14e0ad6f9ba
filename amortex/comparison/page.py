"""The report as a page that plays its sounds: ``report.html``, without anything from elsewhere."""

import re

from markdown_it import MarkdownIt

SOUND_LINK = re.compile(r'<a href="([^"]+\.wav)">([^<]*)</a>')
PLAYER = r'<span class="sound">\2 <audio controls preload="none" src="\1"></audio></span>'
STYLE = """body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1200px; padding: 0 1em }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: 13px }
td, th { border-bottom: 1px solid #ddd; padding: 3px 9px; text-align: left; white-space: nowrap }
img { max-width: 100% }
.sound { display: inline-block; margin-right: 1.5em }
audio { vertical-align: middle; height: 32px }"""


def as_page(text: str) -> str:
    """An HTML page of a report in Markdown; links to WAV files become players.

    >>> 'src="a.wav"></audio>' in as_page("[kept](a.wav)")
    True
    """
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    title = "Comparison of explanations"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    page = f'<!DOCTYPE html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body>\n{body}</body></html>\n'
    return SOUND_LINK.sub(PLAYER, page)
