// SPDX-License-Identifier: Apache-2.0
// The activations in safetensors files, by the names that sim/workload/README.md lists.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "models/numerics/matrix.h"
#include "models/schemes/position.h"
#include "sim/workload/checkpoint.h"
#include "sim/workload/matrix_file.h"

namespace oscsim {

// Where an activation sits by the last part of its name: "model.layers.3.attn_in"; nothing for a name that is none of
// an activation.
std::optional<Position> position_of_name(const std::string& tensor);
// 3 of "model.layers.3.attn_in"; -1 for a name without a layer.
std::int64_t layer_of_name(const std::string& tensor);

// Every tensor whose name is one of an activation. InputError for files without any, for a name that is in two of them,
// and for tensors that are no matrices.
using Activations = std::map<std::string, TensorPlace>;
Activations activations_in(const std::vector<std::string>& paths);

// Tokens and channels of one of them.
MatrixShape activation_shape(const TensorPlace& activation);

// Calls `take` with all rows in chunks, in order. InputError for a NaN or an infinity.
void for_activation_rows(const std::string& name, const TensorPlace& place,
                         const std::function<void(numerics::MatrixView)>& take);

}  // namespace oscsim
