# SPDX-License-Identifier: Apache-2.0
"""A section of docs/performance.md: each part of `make bench` writes its own."""
import re


def put(path, title, section):
    """Puts @section, which begins with the line @title, at the end of the page; what stood under that title goes."""
    with open(path, encoding="utf-8") as f:
        page = f.read()
    page = re.sub(re.escape(title) + r"\n.*?(?=\n## |\Z)", "", page, flags=re.S).rstrip("\n")
    with open(path, "w", encoding="utf-8") as f:
        f.write(page + "\n\n" + section)
