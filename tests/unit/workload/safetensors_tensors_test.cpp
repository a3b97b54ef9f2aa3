// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "sim/workload/safetensors.h"
#include "sim/workload/sha256.h"
#include "sim/workload/tensors.h"
#include "tests/unit/workload/scratch_file.h"

namespace oscsim {
namespace {

void write_f32(const std::string& path, const std::string& name, std::vector<std::int64_t> shape,
               const std::vector<float>& values) {
  write_safetensors(path, {{name, "F32", std::move(shape)}}, {},
                    [&](SafetensorsBody& body) { body.append(std::as_bytes(std::span(values))); });
}

TEST(SafetensorsTensors, GivesWeightsAndActivationsOfTheRightShape) {
  const ScratchFile file(".safetensors");
  write_f32(file.path(), "w", {2, 3}, {1, 2, 3, 4, 5, 6});
  const auto source = safetensors_tensors({file.path()}, {});
  EXPECT_EQ(source->weight("w", 2, 3).view.at(1, 2), 6.0F);
  EXPECT_EQ(source->activation("w", Position::attn_in, 2, 3).view.at(0, 1), 2.0F);
  EXPECT_EQ(source->description(), "tensors of " + file.path());
  ASSERT_EQ(source->hashes().size(), 1U);
  EXPECT_EQ(source->hashes()[0], std::pair(file.path(), sha256_of_file(file.path())));
}

TEST(SafetensorsTensors, TensorsOutliveTheSource) {
  const ScratchFile file(".safetensors");
  write_f32(file.path(), "w", {1, 2}, {1, 2});
  const Tensor tensor = safetensors_tensors({file.path()}, {})->weight("w", 1, 2);
  EXPECT_EQ(tensor.view.at(0, 1), 2.0F);
}

TEST(SafetensorsTensors, RefusesMissingTensorsShapesAndDtypes) {
  const ScratchFile file(".safetensors");
  write_safetensors(file.path(), {{"model.w", "I64", {2, 2}}, {"v", "F32", {2}}}, {},
                    [](SafetensorsBody& body) { body.append(std::vector<std::byte>(40)); });
  const auto source = safetensors_tensors({file.path()}, {});
  const auto error = [&](const char* name, std::int64_t n, std::int64_t k) {
    return error_of([&] { source->weight(name, n, k); }, file.path());
  };
  EXPECT_EQ(error("model.v", 2, 2), "FILE: no tensor 'model.v'; did you mean 'model.w'?");
  EXPECT_EQ(error("model.w", 2, 3), "FILE: tensor 'model.w' has shape [2, 2], expected [2, 3]");
  EXPECT_EQ(error("v", 1, 2), "FILE: tensor 'v' has shape [2], expected [1, 2]");
  EXPECT_EQ(error("model.w", 2, 2), "FILE: tensor 'model.w' has dtype I64; allowed: BF16, F16, F32");
}

TEST(SafetensorsTensors, RefusesATensorThatTwoFilesHave) {
  const ScratchFile first(".safetensors");
  const ScratchFile second(".safetensors");
  write_f32(first.path(), "w", {1, 1}, {1});
  write_f32(second.path(), "w", {1, 1}, {1});
  EXPECT_EQ(error_of([&] {
              safetensors_tensors({first.path(), second.path()}, {});
            }),
            second.path() + ": tensor 'w' is also in " + first.path() + "; every name may be there once");
}

TEST(SafetensorsTensors, NonFiniteValuesAreRefusedWithTheirPositionUnlessAllowed) {
  const ScratchFile file(".safetensors");
  const float infinity = std::numeric_limits<float>::infinity();
  write_f32(file.path(), "w", {2, 2}, {1, 2, 3, std::nanf("")});
  const auto error = [&] {
    return error_of([&] { safetensors_tensors({file.path()}, {})->weight("w", 2, 2); }, file.path());
  };
  EXPECT_EQ(error(), "FILE: tensor 'w' has NaN at [1, 1]; --allow-nonfinite goes on and propagates NaN");
  const auto lenient = safetensors_tensors({file.path()}, {.allow_nonfinite = true});
  EXPECT_TRUE(std::isnan(lenient->weight("w", 2, 2).view.at(1, 1)));
  write_f32(file.path(), "w", {2, 2}, {1, -infinity, 3, 4});
  EXPECT_EQ(error(), "FILE: tensor 'w' has -Inf at [0, 1]; --allow-nonfinite goes on and propagates NaN");
}

TEST(SafetensorsTensors, MisalignedTensorsAreCopied) {
  const ScratchFile file(".safetensors");
  const std::vector<SafetensorsSpec> specs = {{"odd", "U8", {1}}, {"w", "F32", {1, 2}}, {"h", "F16", {1, 1}}};
  write_safetensors(file.path(), specs, {}, [](SafetensorsBody& body) {
    const float values[2] = {1.5F, -3.0F};
    const std::uint16_t one = 0x3C00;
    body.append(std::vector<std::byte>(1));
    body.append(std::as_bytes(std::span(values)));
    body.append(std::as_bytes(std::span(&one, 1)));
  });
  const auto source = safetensors_tensors({file.path()}, {});
  const Tensor tensor = source->weight("w", 1, 2);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.view.data()) % 4, 0U);
  EXPECT_EQ(tensor.view.at(0, 1), -3.0F);
  EXPECT_EQ(source->weight("h", 1, 1).view.at(0, 0), 1.0F);
}

}  // namespace
}  // namespace oscsim
