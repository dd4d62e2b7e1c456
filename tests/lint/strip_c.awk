# Prints a C file as FILE:LINE:CODE, comments and the insides of texts left out.
{
    line = $0
    code = ""
    while (line != "") {
        if (in_comment) {
            end = index(line, "*/")
            if (!end) { line = ""; break }
            line = substr(line, end + 2)
            in_comment = 0
        } else if (match(line, /\/\*|\/\/|"|'/)) {
            code = code substr(line, 1, RSTART - 1)
            opener = substr(line, RSTART, RLENGTH)
            line = substr(line, RSTART + RLENGTH)
            if (opener == "/*") { code = code " "; in_comment = 1 }
            else if (opener == "//") line = ""
            else {
                while (line != "" && substr(line, 1, 1) != opener)
                    line = substr(line, substr(line, 1, 1) == "\\" ? 3 : 2)
                line = substr(line, 2)
                code = code opener opener
            }
        } else { code = code line; line = "" }
    }
    print file ":" FNR ":" code
}
