// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/matrix_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tests/unit/workload/scratch_file.h"

namespace oscsim {
namespace {

using numerics::Dtype;

void write(const ScratchFile& file, const std::vector<SafetensorsSpec>& specs) {
  write_safetensors(file.path(), specs, {}, [&](SafetensorsBody& body) {
    for (const SafetensorsSpec& spec : specs) {
      std::int64_t bytes = safetensors_dtype(spec.dtype)->bits / 8;
      for (const std::int64_t extent : spec.shape) bytes *= extent;
      body.append(std::vector<std::byte>(static_cast<std::size_t>(bytes), std::byte{0x3F}));
    }
  });
}

TEST(MatrixFile, NamesAreFilesAndTensors) {
  const MatrixFileName npy = matrix_file_name("a/x.npy");
  EXPECT_EQ(npy.kind, MatrixFileKind::npy);
  EXPECT_EQ(npy.path, "a/x.npy");
  const MatrixFileName whole = matrix_file_name("w.safetensors");
  EXPECT_EQ(whole.kind, MatrixFileKind::safetensors);
  EXPECT_EQ(whole.tensor, "");
  const MatrixFileName part = matrix_file_name("w.safetensors:layers.0:q");
  EXPECT_EQ(part.path, "w.safetensors");
  EXPECT_EQ(part.tensor, "layers.0:q");
  EXPECT_EQ(error_of([] { matrix_file_name("w.safetensors:"); }),
            "w.safetensors:: the name of the tensor behind ':' is empty");
  EXPECT_EQ(error_of([] { matrix_file_name("x.npz"); }),
            "x.npz: unknown kind of file; allowed: FILE.npy, FILE.safetensors, FILE.safetensors:TENSOR");
}

TEST(MatrixFile, AFileOfTheWholeNameComesFirst) {
  const ScratchFile file(".safetensors:x.safetensors");
  EXPECT_EQ(matrix_file_name(file.path()).path, file.path());
}

TEST(MatrixFile, TheOnlyMatrixNeedsNoName) {
  const ScratchFile file(".safetensors");
  write(file, {{"bias", "F32", {6}}, {"ids", "I64", {2, 3}}, {"w", "BF16", {2, 3}}});
  const auto reader = std::make_shared<const SafetensorsFile>(file.path());
  EXPECT_EQ(matrix_names(*reader), std::vector<std::string>{"w"});
  const auto& [name, entry] = matrix_entry(*reader, "");
  EXPECT_EQ(name, "w");
  const Tensor tensor = tensor_in(reader, entry);
  EXPECT_EQ(tensor.view.dtype(), Dtype::bf16);
  EXPECT_EQ(tensor.view.rows(), 2);
  EXPECT_EQ(tensor.view.at(1, 2), std::bit_cast<float>(0x3F3F0000));
}

TEST(MatrixFile, UnalignedTensorsAreCopied) {
  const ScratchFile file(".safetensors");
  write(file, {{"a", "U8", {1}}, {"w", "F32", {1, 2}}});
  const auto reader = std::make_shared<const SafetensorsFile>(file.path());
  const Tensor tensor = tensor_in(reader, matrix_entry(*reader, "w").second);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.view.data()) % 4, 0U);
  EXPECT_EQ(tensor.view.at(0, 1), std::bit_cast<float>(0x3F3F3F3F));
}

TEST(MatrixFile, ErrorsListTheTensors) {
  const ScratchFile file(".safetensors");
  write(file, {{"bias", "F32", {6}}, {"ids", "U8", {2, 3}}, {"k_proj", "F16", {2, 3}}, {"q_proj", "BF16", {2, 3}}});
  const SafetensorsFile reader(file.path());
  const std::string listed = "\n  tensors: bias F32 [6], ids U8 [2, 3], k_proj F16 [2, 3], q_proj BF16 [2, 3]";
  const auto error = [&](const std::string& name) {
    return error_of([&] { matrix_entry(reader, name); }, file.path());
  };
  EXPECT_EQ(error(""), "FILE: 2 matrices; choose one with FILE:NAME" + listed);
  EXPECT_EQ(error("q_prjo"), "FILE: no tensor 'q_prjo'; did you mean 'q_proj'?" + listed);
  EXPECT_EQ(error("bias"), "FILE: tensor 'bias' has shape [6]; expected two sizes, rows and columns");
  EXPECT_EQ(error("ids"), "FILE: tensor 'ids' has dtype U8; allowed: BF16, F16, F32");
}

TEST(MatrixFile, FilesWithoutAMatrixSaySo) {
  const ScratchFile file(".safetensors");
  write(file, {{"bias", "F32", {6}}});
  const std::string error = error_of([&] { matrix_entry(SafetensorsFile(file.path()), ""); }, file.path());
  EXPECT_EQ(error, "FILE: no tensor with two dimensions of BF16, F16 or F32\n  tensors: bias F32 [6]");
  const ScratchFile empty(".safetensors");
  write(empty, {});
  EXPECT_EQ(error_of([&] { matrix_entry(SafetensorsFile(empty.path()), ""); }, empty.path()),
            "FILE: no tensor with two dimensions of BF16, F16 or F32\n  the file has no tensors");
}

TEST(MatrixFile, LongListsAreCut) {
  const ScratchFile file(".safetensors");
  std::vector<SafetensorsSpec> specs;
  for (int i = 0; i < 20; ++i) specs.push_back({fmt::format("t{:02}", i), "F32", {1, 1}});
  write(file, specs);
  const std::string error = error_of([&] { matrix_entry(SafetensorsFile(file.path()), ""); }, file.path());
  EXPECT_NE(error.find("t11 F32 [1, 1] and 8 more"), std::string::npos) << error;
  EXPECT_EQ(error.find("t12"), std::string::npos);
}

TEST(MatrixFile, NonfiniteValuesAreFoundWithTheirPlace) {
  numerics::Matrix matrix(Dtype::fp32, 2, 3);
  std::memset(matrix.data(), 0, 24);
  EXPECT_EQ(error_of([&] { require_finite("x", matrix.view()); }), "");
  matrix.row_f32(1)[2] = -INFINITY;
  EXPECT_EQ(error_of([&] { require_finite("x", matrix.view()); }),
            "x has -Inf at [1, 2]; --allow-nonfinite goes on and propagates NaN");
  matrix.row_f32(1)[0] = NAN;
  EXPECT_EQ(error_of([&] { require_finite("x", matrix.view()); }),
            "x has NaN at [1, 0]; --allow-nonfinite goes on and propagates NaN");
}

}  // namespace
}  // namespace oscsim
