# Writes OUTPUT, a C++ source with the files of the report's pages in FOLDER as
# string constants. Run with cmake -P.
set(source "// Made from ${FOLDER}; do not edit.
#include \"dblocks/report/page_shell.h\"

namespace dblocks::report::internal {
")
foreach(pair "kPageStyle:page.css" "kChartsScript:charts.js"
             "kDefinitionsScript:definitions.js" "kRunPageScript:run_page.js"
             "kComparePageScript:compare_page.js"
             "kSweepPageScript:sweep_page.js")
  string(REPLACE ":" ";" pair "${pair}")
  list(GET pair 0 name)
  list(GET pair 1 file)
  file(READ "${FOLDER}/${file}" text)
  string(APPEND source
         "const std::string_view ${name} = R\"pages(${text})pages\";\n")
endforeach()
string(APPEND source "}  // namespace dblocks::report::internal\n")
file(WRITE "${OUTPUT}" "${source}")
