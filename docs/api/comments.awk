# SPDX-License-Identifier: Apache-2.0
#
# Makes a header's plain comments ones that Doxygen reads, without a change to their words:
#
#   the first comment of a file              is about the file
#   a comment that begins a line             is about what follows it
#   a comment behind a member                is about that member, also over several lines
#   declarations without a blank line        share the comment above the first of them
#
# And what the words mean in the headers is kept from what Doxygen would make of them: |argument| becomes code; <, >, &,
# @, #, % and \ are themselves; lines that are indented within a comment are drawings or code. The repeated comments
# shift line numbers in what Doxygen prints.

function words(text) {
    gsub(/[\\@#%&<>]/, "\\\\&", text)
    gsub(/\*/, "\\*", text)
    gsub(/_/, "\\_", text)
    while (match(text, /\|[a-z0-9_\\]+\|/)) {
        argument = substr(text, RSTART + 1, RLENGTH - 2)
        gsub(/\\/, "", argument)
        text = substr(text, 1, RSTART - 1) "`" argument "`" substr(text, RSTART + RLENGTH)
    }
    return text
}

# One line of a comment's inside, without its frame: as it is where it is a drawing.
function inside(text) {
    return text ~ /^     / ? text : words(text)
}

# Puts the comment |lines| (joined by newlines) out as one that Doxygen reads; |mark| is what comes after /**.
function put(text, mark, count, i, lines) {
    gsub(/\*\//, "* /", text)
    count = split(text, lines, "\n")
    printf "/**%s\n", mark
    for (i = 1; i <= count; i++)
        print " *" inside(lines[i])
    print " */"
}

# Takes the line |text|, which begins or goes on with a comment; true where it ends here.
function take(text) {
    ends = text ~ /\*\/[ ]*$/
    sub(/[ ]*\*\/[ ]*$/, "", text)
    sub(/^[ ]*\/?\*/, "", text)
    body = body == "" && !going_on ? text : body "\n" text
    going_on = 1
    return ends
}

function finished() {
    going_on = 0
    if (!seen_file) {
        seen_file = 1
        sub(/^ SPDX-License-Identifier: Apache-2.0\n?/, "", body)
        put(body, " @file")
    } else if (body ~ /^ ---.*---$/) {
        print "" # a heading between sections
    } else if (behind) {
        put(body, "<")
    } else {
        above = body
        put(body, "")
    }
    body = ""
}

going_on {
    if (take($0)) finished()
    next
}
/^[ ]*\/\*/ {
    behind = 0
    if (take($0)) finished()
    next
}
# A member (or an enumerator) with its comment behind it. Not a macro's line, which a backslash goes on.
/[;,{}a-zA-Z0-9_)][ ]+\/\*/ && !/^#/ {
    at = index($0, "/*")
    print substr($0, 1, at - 1)
    behind = 1
    if (take(substr($0, at))) finished()
    next
}
/^[ ]*$/ || /^#/ {
    above = ""
    repeat = 0
    print
    next
}
# A declaration that follows another one at once.
repeat && above != "" && /^(DURESS_API|static inline)/ {
    put(above, "")
}
{
    print
    repeat = /;[ ]*$/ && !/^ / || (in_declaration && /;[ ]*$/)
    in_declaration = /^(DURESS_API|static inline)/ ? !/;[ ]*$/ : in_declaration && !/;[ ]*$/
}
