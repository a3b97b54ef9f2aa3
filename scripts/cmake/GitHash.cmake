# SPDX-License-Identifier: Apache-2.0
# Run at every build (cmake -P): writes OUTPUT from INPUT with the commit that SOURCE is a checkout of, "-dirty" behind
# it when files differ from that commit, "unknown" outside a checkout. An unchanged file is not touched.
set(OSCSIM_GIT_HASH unknown)
find_package(Git QUIET)
if(GIT_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} rev-parse --show-toplevel WORKING_DIRECTORY ${SOURCE}
                  OUTPUT_VARIABLE toplevel OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  execute_process(COMMAND ${GIT_EXECUTABLE} rev-parse --verify --short=12 HEAD WORKING_DIRECTORY ${SOURCE}
                  RESULT_VARIABLE failed OUTPUT_VARIABLE hash OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  # An unpacked archive inside somebody else's checkout has no hash of its own.
  file(REAL_PATH ${SOURCE} source)
  if(NOT failed AND toplevel STREQUAL source)
    set(OSCSIM_GIT_HASH ${hash})
    execute_process(COMMAND ${GIT_EXECUTABLE} status --porcelain --untracked-files=no WORKING_DIRECTORY ${SOURCE}
                    OUTPUT_VARIABLE changes ERROR_QUIET)
    if(changes)
      string(APPEND OSCSIM_GIT_HASH -dirty)
    endif()
  endif()
endif()
configure_file(${INPUT} ${OUTPUT} @ONLY)
