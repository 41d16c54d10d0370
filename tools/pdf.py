"""Make one PDF of the whole built book, with Chromium: a title page, a list of the pages, and all pages.

    python tools/pdf.py [FILE]

The pages are put into one document, so that links lead to where they mean, and page numbers go on.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import yaml
from playwright.sync_api import PdfMargins

import convexdiff_lib
from tools import browser, toc

ROOT = Path(__file__).parent.parent
FILE = browser.SITE.parent / "book.pdf"

# Run in the page that becomes the document.  Ids get the name of their page in front, and links follow them.
GATHER = """async ({pages, title, author, version}) => {
    const make = (tag, text, parent, about = {}) => {
        const made = Object.assign(document.createElement(tag), about);
        made.textContent = text;
        parent.append(made);
        return made;
    };
    const key = (page, id) => page.replaceAll('/', '-') + '--' + id;
    const root = new URL('.', location.href).href;
    const place = (href) => {
        const url = new URL(href);
        const page = url.href.startsWith(root) ? url.pathname.slice(new URL(root).pathname.length) : '';
        return [page.replace(/[.]html$/, ''), url.hash.slice(1)];
    };
    document.title = title;
    document.body.className = 'whole-book';
    const book = document.createElement('main');
    const front = make('header', '', book, {className: 'front'});
    make('p', title, front, {className: 'book-title'});
    make('p', author, front);
    make('p', 'Version ' + version, front);
    const contents = make('nav', '', book, {className: 'contents'});
    make('p', 'Contents', contents, {className: 'contents-title'});
    const list = make('ol', '', contents);
    for (const page of pages) {
        const text = await (await fetch(root + page + '.html')).text();
        const read = new DOMParser().parseFromString(text, 'text/html');
        const base = Object.assign(read.createElement('base'), {href: root + page + '.html'});
        read.head.prepend(base);
        const article = read.querySelector('article');
        article.querySelectorAll('script, .headerlink, template').forEach((e) => e.remove());
        for (const image of article.querySelectorAll('img')) image.src = image.src;
        for (const link of article.querySelectorAll('a[href]')) {
            const [to, hash] = place(link.href);
            const anchor = hash ? key(to, hash) : to.replaceAll('/', '-');
            if (pages.includes(to)) link.setAttribute('href', '#' + anchor);
            else if (link.href.startsWith(root)) link.removeAttribute('href');
        }
        for (const element of article.querySelectorAll('[id]')) element.id = key(page, element.id);
        // The evidence of all claims would fill a hundred pages.
        for (const fold of article.querySelectorAll('details')) fold.open = page !== 'claims';
        article.id = page.replaceAll('/', '-');
        const heading = article.querySelector('h1').textContent.trim();
        make('a', heading, make('li', '', list), {href: '#' + article.id});
        book.append(document.adoptNode(article));
    }
    document.body.replaceChildren(book);
    const formulas = [...document.querySelectorAll('.math')].filter((e) => !e.parentElement.closest('.math'));
    for (let k = 0; k < formulas.length; k += 200) await MathJax.typesetPromise(formulas.slice(k, k + 200));
    for (const image of document.images) image.loading = 'eager';
    await Promise.allSettled([...document.images].map((image) => image.decode()));
    await document.fonts.ready;
    return document.querySelectorAll('mjx-merror, .math:not(:has(mjx-container))').length;
}"""

STYLE = """
.whole-book, .whole-book main, .whole-book article {
    display: block; margin: 0; padding: 0; width: auto; max-width: none; overflow: visible;
}
.whole-book { font-size: 10.5pt; background: #fff; }
.whole-book article, .whole-book .contents { break-before: page; }
.whole-book .front { padding-top: 30vh; text-align: center; }
.whole-book .book-title { font-size: 26pt; font-weight: bold; line-height: 1.25; margin-bottom: 3rem; }
.whole-book .contents-title { font-size: 18pt; font-weight: bold; }
.whole-book .contents ol { list-style: none; padding: 0; columns: 2; }
.whole-book .contents { background: none; border: 0; box-shadow: none; }
.whole-book .contents a { color: inherit; text-decoration: none; }
.whole-book article { font-size: 10.5pt; }
.whole-book pre, .whole-book code { font-size: 8pt; }
.whole-book .film .controls, .whole-book .copybtn, .whole-book .filters { display: none; }
"""
FOOT = '<div style="font-size:8pt;width:100%;text-align:center"><span class="pageNumber"></span></div>'
MARGINS: PdfMargins = {"top": "18mm", "bottom": "18mm", "left": "18mm", "right": "18mm"}


def make(file: Path, pages: list[str]) -> None:
    """Gather the pages and print them to a file."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    told = {"pages": pages, "title": settings["title"], "author": settings["author"]}
    with browser.served(browser.SITE) as base, browser.launched() as chromium:
        page = browser.new_page(chromium, "light", 1000)
        page.set_default_timeout(600_000)
        page.goto(f"{base}{next(name for name in pages if name.startswith('chapters/'))}.html")
        browser.settle(page)
        page.evaluate(f"history.replaceState(null, '', {base!r} + 'index.html')")
        bad = page.evaluate(GATHER, told | {"version": convexdiff_lib.__version__})
        if bad:
            sys.exit(f"{bad} formulas are not typeset")
        page.add_style_tag(content=STYLE)
        page.pdf(
            path=file, format="A4", margin=MARGINS, scale=0.86, print_background=True, outline=True,
            tagged=True, display_header_footer=True, header_template="<span></span>", footer_template=FOOT,
        )  # fmt: skip


def main() -> None:
    """Print the book that was built last."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    options = parser.parse_args()
    if not (browser.SITE / "index.html").exists():
        sys.exit("Run 'make book' first.")
    make(options.file, toc.pages())
    print(options.file)


if __name__ == "__main__":
    main()
