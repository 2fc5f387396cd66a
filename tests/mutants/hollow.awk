# SPDX-License-Identifier: Apache-2.0
#
# Prints a C file with the body of each function gone: it takes its arguments and returns nothing, or zero. Knows the
# project's own layout alone (clang-format): the braces around a body stand at the beginning of their lines.

# What stands before the function's name: its type.
function type_of(signature) {
    sub(/\(.*/, "", signature)             # the parameters
    sub(/[A-Za-z_0-9]+[ ]*$/, "", signature) # the name
    gsub(/(^|[ \n])(static|inline|extern|_Noreturn|DURESS_[A-Z_]+)([ \n]|$)/, " ", signature)
    gsub(/^[ \n]+|[ \n]+$/, "", signature)
    return signature
}

/^\{$/ {
    type = type_of(signature)
    print "{"
    if (type != "void")
        print "    return (" type "){0};"
    inside = 1
    bodies++
    next
}
/^}$/ && inside { inside = 0; signature = ""; print; next }
inside { next }
/^(#|\/\*| \*|\/\/|}|$)/ { signature = ""; print; next }
{ signature = signature (signature == "" ? "" : "\n") $0; if ($0 ~ /;$/) signature = ""; print }
END { exit bodies == 0 }
