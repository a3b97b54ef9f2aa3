// SPDX-License-Identifier: Apache-2.0
// One function for each file of this folder.
#pragma once

#include "tests/fuzz/reader.h"

namespace oscsim::fuzz {

Reader machine_reader();
Reader scheme_reader();
Reader costs_reader();
Reader channel_table_reader();
Reader trace_reader();
Reader sweep_reader();
Reader condition_reader();
Reader sweep_json_reader();
Reader sweep_points_reader();
Reader sweep_rows_reader();
Reader config_json_reader();
Reader checkpoint_index_reader();
Reader safetensors_reader();
Reader npy_reader();
Reader csv_reader();
Reader only_reader();
Reader gemm_reader();
Reader settings_reader();

}  // namespace oscsim::fuzz
