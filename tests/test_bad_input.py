"""What is not allowed is refused in one line that names it, says what is, and what to do.

Each line of a table is a call, or the words after `cplab`, and what its error names.
"""

import importlib
import itertools
import re
import signal
import time
import tracemalloc
from dataclasses import fields

import numpy as np
import pytest
import torch
from conftest import cell
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from torch import nn

import cplab
from cplab import CplabError, Run, cli, specs

RUNS = r"""
Run(onset=10**9)  ->  onset 1000000000
Run(recovery=2**31 - 1)  ->  recovery 2147483647
Run("blur", length=10**7)  ->  length 10000000
Run(onset=60_000, recovery=60_000)  ->  a run of 120000 epochs
Run(onset=float("nan"))  ->  onset nan
Run(onset=float("inf"))  ->  onset inf
Run(onset=torch.zeros(2))  ->  onset tensor([0., 0.])
Run(onset=np.array([1, 2]))  ->  onset array([1, 2])
Run(onset=[1])  ->  onset [1]
Run(onset=None)  ->  onset None
Run(onset="1e3x")  ->  onset '1e3x'
Run(seed=2**31)  ->  seed 2147483648
Run(seed=-1)  ->  seed -1
Run(seed=True)  ->  seed True
Run(seed="\udcff")  ->  seed '\udcff'
Run(seed="9" * 5000)  ->  seed '9999999999999999999999999999999999
Run(seed=10**5000)  ->  seed of type int
Run(model=10**5000)  ->  model of type int
Run(deficit=10**5000, length=1)  ->  deficit of type int
Run(augment=10**5000)  ->  augment of type int
Run(augment="\n")  ->  augment '\n'
Run(augment=None)  ->  augment None
Run(momentum=1)  ->  momentum 1
Run(momentum=float("nan"))  ->  momentum nan
Run(momentum="10" * 3000)  ->  momentum '101010101010101010101010101010
Run(rate=0)  ->  rate 0
Run(rate=float("inf"))  ->  rate inf
Run(rate=torch.ones(3))  ->  rate tensor([1., 1., 1.])
Run(pace=0)  ->  pace 0
Run(pace="\x00")  ->  pace '\x00'
Run(weight_decay=-1)  ->  weight_decay -1
Run(weight_decay=11)  ->  weight_decay 11
Run(optimizer="adam", momentum=0.5)  ->  momentum 0.5
Run(model="allcnn-" + "9" * 300)  ->  model 'allcnn-99999999999999999999999999
Run(model="allcnn-100000")  ->  model 'allcnn-100000'
Run(model="allcnn-²")  ->  model 'allcnn-²'
Run(model="fc-0")  ->  model 'fc-0'
Run(model="vgg\nnet")  ->  model 'vgg\nnet'
Run(profile="\u202ecourse")  ->  profile '\u202ecourse'
Run(profile=None)  ->  profile None
Run(profile=["course"])  ->  profile ['course']
Run(profile={})  ->  profile
Run(dataset=0)  ->  dataset 0
Run(schedule=b"paper")  ->  schedule b'paper'
Run(deficit="blur-99", length=1)  ->  deficit 'blur-99'
Run(deficit="blur-99999999999999999999", length=1)  ->  deficit 'blur-99999999999999999999'
Run(deficit="blur-0", length=1)  ->  deficit 'blur-0'
Run(deficit="flip-2", length=1)  ->  deficit 'flip-2'
Run(deficit="blur:up", length=1)  ->  view of deficit 'blur:up' 'up'
Run(deficit="blur:left", length=1)  ->  deficit 'blur:left'
Run(deficit="blur:left:right", length=1)  ->  deficit 'blur:left:right'
Run(deficit="flip+blur:right", length=1)  ->  deficit 'flip+blur:right'
Run(deficit="blur+" * 50 + "flip", length=1)  ->  deficit 'blur+blur+blur+blur+blur+blur+b
Run(deficit="blur+", length=1)  ->  deficit 'blur+'
Run(deficit="", length=1)  ->  deficit ''
Run(deficit="none", length=3)  ->  length 3
Run(deficit=None, length=3)  ->  deficit None
Run(deficit=["blur"], length=3)  ->  deficit ['blur']
Run(deficit=3.5, length=3)  ->  deficit 3.5
Run(deficit=print, length=3)  ->  print (builtin_function_or_method)
Run(deficit=Run, length=3)  ->  <class 'cplab.runs.Run'>
Run(recovery=0)  ->  a run of 0 epochs
Run(windows="blank")  ->  window 'blank'
Run(windows="blank@1+x")  ->  epochs of a window 'x'
Run(windows=[("blank", 0, 10**9)])  ->  epochs of a window 1000000000
Run(windows=[("blank", 0, 1)] * 200)  ->  more than 100 windows
Run(windows=itertools.repeat(("blank", 0, 1)))  ->  more than 100 windows
Run(windows=[("blank:left", 0, 1)])  ->  deficit 'blank:left'
Run(windows=3)  ->  window 3
Run(windows=[{}])  ->  window
Run(windows=np.array(3))  ->  window array(3)
Run(windows="none@0+1")  ->  window ('none', 0, 1)
Run(windows=[("a", "b", "c")])  ->  first epoch of a window 'b'
Run(treatments="renorm")  ->  treatment 'renorm'
Run(treatments="rate")  ->  treatment 'rate'
Run(treatments="shrink-2@1")  ->  strength of shrink '2'
Run(treatments="shrink--1@1")  ->  strength of shrink '-1'
Run(treatments="shrink-nan@1")  ->  strength of shrink 'nan'
Run(treatments="renorm@1000000000")  ->  epoch of renorm '1000000000'
Run(treatments=["held@0"] * 200)  ->  more than 100 treatments
Run(treatments=itertools.repeat("held@0"))  ->  more than 100 treatments
Run(treatments=[{}])  ->  treatment
Run(treatments=np.array(3))  ->  treatment array(3)
Run(treatments=10**5000)  ->  treatment of type int
"""

QUESTIONS = r"""
cplab.run("blur")  ->  'blur'
cplab.run(deficit="blurr", length=1)  ->  deficit 'blurr'
cplab.run(3)  ->  3
cplab.run(None, nonsense=1)  ->  field of Run 'nonsense'
cplab.run(nonsense=1)  ->  field of Run 'nonsense'
cplab.run(Run(), nonsense=1)  ->  field of Run 'nonsense'
cplab.run(Run)  ->  <class 'cplab.runs.Run'>
cplab.run([Run()])  ->  [Run(deficit='none', onset=0, length=0,
cplab.run(CI, device="tpu")  ->  device 'tpu'
cplab.run(CI, device=3)  ->  device 3
cplab.run(CI, device="cpu:7")  ->  device 'cpu:7'
cplab.run(CI, measure="taste")  ->  measurement 'taste'
cplab.run(CI, measure=3)  ->  measurement 3
cplab.run(CI, measure={"trace": "never"})  ->  'never'
cplab.run(CI, measure={"trace": -1})  ->  epoch -1
cplab.run(CI, measure={"trace": [10**12]})  ->  epoch 1000000000000
cplab.run(CI, measure={"trace": {}})  ->  {}
cplab.run(CI, measure=[["trace"]])  ->  measurement ['trace']
cplab.run(CI, measure=lambda net, images: 1)  ->  <lambda> (function)
cplab.run(CI, fresh="maybe")  ->  fresh 'maybe'
cplab.run(CI, report=3)  ->  report 3
cplab.run(CI, stop=3)  ->  stop 3
cplab.sweep(Run())  ->  wanted
cplab.sweep(["blur"])  ->  'blur'
cplab.sweep("blur")  ->  wanted 'blur'
cplab.sweep(3)  ->  wanted 3
cplab.sweep([CI], workers=0)  ->  workers 0
cplab.sweep([CI], workers=10**9)  ->  workers 1000000000
cplab.sweep([CI], workers="two")  ->  workers 'two'
cplab.sweep([CI], workers=2.5)  ->  workers 2.5
cplab.sweep([CI], device="gpu")  ->  device 'gpu'
cplab.sweep([CI, None])  ->  None
cplab.sweep([CI], stop=3)  ->  stop 3
cplab.sweep([CI], report=3)  ->  report 3
cplab.sweep([CI], client=3)  ->  client 3
cplab.at_hand([CI], report=3)  ->  report 3
cplab.at_hand([CI], seconds="x")  ->  seconds 'x'
cplab.at_hand([CI], seconds=float("nan"))  ->  seconds nan
cplab.at_hand(["x"])  ->  'x'
cplab.at_hand(None)  ->  wanted None
cplab.find("x")  ->  'x'
cplab.find(None)  ->  None
cplab.find(Run)  ->  <class 'cplab.runs.Run'>
cplab.find(CI, measure="taste")  ->  measurement 'taste'
cplab.table(nonsense=1)  ->  field 'nonsense' of a run
cplab.table(model="vgg")  ->  model 'vgg'
cplab.table(deficit="blurr")  ->  deficit 'blurr'
cplab.table(onset=-1)  ->  onset -1
cplab.table(onset=10**9)  ->  onset 1000000000
results.by_key("x")  ->  no result
results.by_key("../../etc/passwd")  ->  no result
results.by_key("0" * 10**6)  ->  no result
list(results.every_result("Serach"))  ->  kind of result 'Serach'
list(results.every_result("Run", "nope"))  ->  source 'nope'
results.merge([""])  ->  path ''
windows.same_setting(Run(), but=("nope",))  ->  field of Run 'nope'
results.sample_runs(-1)  ->  count -1
results.sample_runs("x")  ->  count 'x'
results.merge("nowhere")  ->  paths 'nowhere'
results.merge(3)  ->  paths 3
results.ship([], "../x")  ->  name '../x'
results.ship(["x"], "x")  ->  results ['x']
results.retrain("x")  ->  result 'x'
Run(onst=3)  ->  'onst'
cplab.sweep([CI], wrkers=1)  ->  'wrkers'
cplab.at_hand([BLUR], wrkers=1)  ->  'wrkers'
cplab.Explorer("ci", wrong=1)  ->  'wrong'
"""

DOOR = r"""
cplab.images("imagenet")  ->  dataset 'imagenet'
cplab.images("practice", "big")  ->  profile 'big'
cplab.images("practice", "ci", "tpu")  ->  device 'tpu'
cplab.images(3)  ->  dataset 3
cplab.images("practice", None)  ->  profile None
cplab.apply_deficit(X, Y, "blur-99")  ->  deficit 'blur-99'
cplab.apply_deficit(X, Y, "blur-1")  ->  deficit 'blur-1'
cplab.apply_deficit(X, Y, "flip-2")  ->  deficit 'flip-2'
cplab.apply_deficit(X, Y, "blur:left")  ->  deficit 'blur:left'
cplab.apply_deficit(X, Y, None)  ->  deficit None
cplab.apply_deficit(X.byte(), Y, "blur")  ->  images torch.uint8 (2, 3, 8, 8)
cplab.apply_deficit(X[0], Y, "blur")  ->  images torch.float32 (3, 8, 8)
cplab.apply_deficit(X.numpy(), Y, "blur")  ->  x array(
cplab.apply_deficit(X, Y.float(), "permute")  ->  labels tensor([0., 1.])
cplab.apply_deficit(X, Y + 20, "permute")  ->  labels tensor([20, 21])
cplab.apply_deficit(X, None, "permute")  ->  y None
cplab.apply_deficit(X, Y[:1], "permute")  ->  labels tensor([0])
cplab.apply_deficit(X, Y, "noise", seed=-1)  ->  seed -1
cplab.apply_deficit(X, Y, "noise", seed="x")  ->  seed 'x'
cplab.apply_deficit(X, Y, "fresh_noise", epoch=-1)  ->  epoch -1
cplab.apply_deficit(X, Y, "noise", index=[0, 1])  ->  index [0, 1]
cplab.apply_deficit(X, Y, "noise", index=Y[:1])  ->  index
cplab.apply_deficit(X, Y, "noise", images=10**12)  ->  images 1000000000000
cplab.deficit("blur")  ->  function 'blur'
cplab.deficit(3)  ->  function 3
cplab.deficit(colour="red")(shade)  ->  colour 'red'
cplab.deficit(colour=3)(shade)  ->  colour 3
cplab.deficit(label=3)(shade)  ->  label and reference (3, '')
cplab.deficit(strengths=5)(shade)  ->  strengths 5
cplab.deficit(strengths=(5, 2))(shade)  ->  greatest strength 2
cplab.deficit(strengths=("a", "b"))(shade)  ->  least strength 'a'
cplab.deficit(color="#000000")(shade)  ->  option of shade 'color'
cplab.model("allcnn")  ->  function 'allcnn'
cplab.model(width=0)(Own)  ->  width 0
cplab.model(width="x")(Own)  ->  width 'x'
cplab.model(width=10**9)(Own)  ->  width 1000000000
cplab.model(views=0)(Own)  ->  views 0
cplab.model(views=3)(Own)  ->  views 3
cplab.model(lr=-1)(Own)  ->  lr -1
cplab.model(lr="fast")(Own)  ->  lr 'fast'
cplab.model(fixed_lr="x")(Own)  ->  fixed_lr 'x'
cplab.model(profiles="ci")(Own)  ->  profiles 'ci'
cplab.model(profiles=("big",))(Own)  ->  profile 'big'
cplab.model(label=None)(Own)  ->  label None
cplab.model(wdth=3)(Own)  ->  option of Own 'wdth'
cplab.measurement(3)  ->  function 3
cplab.measurement(when="never")(net_size)  ->  when 'never'
cplab.measurement(images=0)(net_size)  ->  images 0
cplab.measurement(images="x")(net_size)  ->  images 'x'
cplab.measurement(label="x")(print)  ->  print (builtin_function_or_method)
cplab.measurement(label="x")(measure.trace)  ->  <function trace at
cplab.measurement(label="x")(measure.log_determinant)  ->  <function log_determinant at
cplab.measurement(label="x")(re.compile)  ->  <function compile at
cplab.deficit(label="x")(cplab.deficits.flip)  ->  <function flip at
cplab.model(width=8)(models.allcnn)  ->  <function allcnn at
models.build("x-4")  ->  model 'x'
models.build("allcnn-4", channels=0)  ->  channels 0
models.build("allcnn-4", size=0)  ->  size 0
models.build("fc-4", size=10**6)  ->  size 1000000
models.build("allcnn-4", classes=-1)  ->  classes -1
models.build("allcnn-4", channels="x")  ->  channels 'x'
fits.fit(decline, [1, 2], [1], {"normal": 1, "tau": 1})  ->  t
fits.fit(decline, [1, 2, 3], [1, 2, float("nan")], {"normal": 1, "tau": 1})  ->  y
fits.fit(decline, [1, 2, 3], [1, 2, 3], {"normal": 1, "tau": "x"})  ->  start
fits.fit(decline, [1, 2, 3], [1, 2, 3], {"normal": 1})  ->  start
fits.fit(decline, [1, 2, 3], [1, 2, 3], {"normal": 1, "tau": 1, "d": 1})  ->  parameter of declin
fits.fit(decline, [1, 2, 3], [1, 2, 3], None)  ->  start None
fits.fit(lambda t, weights: t, [1, 2], [1, 2], {"weights": 1})  ->  parameter weights
fits.fit(lambda t, params: t, [1, 2], [1, 2], {"params": 1})  ->  parameter params
fits.fit(lambda t, data: t, [1, 2], [1, 2], {"data": 1})  ->  parameter data
fits.fit(lambda t, self: t, [1, 2], [1, 2], {"self": 1})  ->  parameter self
fits.fit(lambda t, eval: t, [1, 2], [1, 2], {"eval": 1})  ->  parameter eval
fits.fit(3, [1, 2, 3], [1, 2, 3], {"normal": 1, "tau": 1})  ->  3
fits.fit(lambda t, a: "x", [1, 2, 3], [1, 2, 3], {"a": 1})  ->  <lambda>
fits.fit(lambda t, a: 1 / 0, [1, 2, 3], [1, 2, 3], {"a": 1})  ->  <lambda>
animals.statements("weight")  ->  quantity 'weight'
animals.statements(species=3)  ->  species 3
fits.fit(decline, [1, 2, 3], [1, 2, 3], {})  ->  start {}
"""

SPECS = r"""
pruning.Search(gamma=0)  ->  gamma 0
pruning.Search(gamma=float("nan"))  ->  gamma nan
pruning.Search(start=101)  ->  start 101
pruning.Search(keep=[2])  ->  density 2
pruning.Search(keep="x")  ->  density 'x'
pruning.Search(mixed=2)  ->  mixed 2
pruning.Search(dataset="cifar10")  ->  dataset 'cifar10'
pruning.Search(rounding=3)  ->  rounding 3
pruning.Search(seed="x")  ->  seed 'x'
pruning.OneShot(steps=10**12)  ->  steps 1000000000000
pruning.Search(gamma=1e-300)  ->  gamma
pruning.Retraining("random", search="x")  ->  'x'
pruning.OneShot(dataset=3)  ->  dataset 3
pruning.Retraining("magic")  ->  kind 'magic'
pruning.Retraining("random", 0.5)  ->  density 0.5
pruning.Retraining("random", 0.05, dataset=3)  ->  dataset 3
pruning.Retraining("random", 0.05, seed="x")  ->  seed 'x'
pruning.Pruned(profile="big")  ->  profile 'big'
pruning.Pruned(metric="taste")  ->  metric 'taste'
pruning.Pruned(density=0)  ->  density 0
pruning.Pruned(density="x")  ->  density 'x'
pruning.Pruned(density=2)  ->  density 2
pruning.Pruned(deficit="blurr", length=1)  ->  deficit 'blurr'
pruning.Pruned(deficit="blur:left", length=1)  ->  deficit 'blur:left'
pruning.Pruned(length=10**9, deficit="blur")  ->  length 1000000000
pruning.Pruned(training=2**31 - 1)  ->  training 2147483647
pruning.Pruned(retraining=10**9)  ->  retraining 1000000000
pruning.Pruned(seed=-1)  ->  seed -1
pruning.KernelPruning(size="huge")  ->  size 'huge'
pruning.KernelPruning(size=3)  ->  size 3
pruning.KernelPruning(material="wood")  ->  material 'wood'
pruning.KernelPruning(choice="x")  ->  choice 'x'
pruning.KernelPruning(seed="x")  ->  seed 'x'
pruning.KernelSplit("ci", -1, 2)  ->  first -1
pruning.draw_changes("x")  ->  spec 'x'
pruning.grow_and_prune("x")  ->  spec 'x'
pruning.train_side_by_side("x", steps=1)  ->  architectures 'x'
pruning.unpack_architecture(3)  ->  text 3
pruning.random_split(0, 0, (1, 1))  ->  0 kernels
pruning.random_split(10, "x", (5, 5))  ->  seed 'x'
pruning.weight_saliency(NET, X, "taste")  ->  metric 'taste'
pruning.weight_saliency("net", X, "fisher")  ->  net 'net'
pruning.salient_masks({"a": torch.ones(3)}, 2)  ->  density 2
pruning.flat_images("cifar10")  ->  cifar10
pruning.inked_pixels("x")  ->  dataset 'x'
pruning.Search(keep=())  ->  keep ()
pruning.Search(kep=3)  ->  'kep'
pruning.KernelSplit()  ->  'size'
pruning.KernelSplit("ci")  ->  'first'
pruning.KernelSize()  ->  'profile'
pruning.KernelNet((4,), (16, 8))  ->  kernels (4,)
pruning.expected_density(pruning.Search(), "x")  ->  step 'x'
pruning.unpack_architecture("x")  ->  text 'x'
pruning.unpack_architecture("\u202e" * 2112)  ->  text '\u202e
pruning.make_control("magic", DENSE, np.ones(784, bool), RANDOM)  ->  kind 'magic'
pruning.make_control("random", [np.ones((2, 2), bool)], np.ones(784, bool), RANDOM)  ->  alive
pruning.make_control("inked", DENSE, np.ones(3, bool), RANDOM)  ->  ink
pruning.train_side_by_side([], steps=1)  ->  architectures []
pruning.train_side_by_side([DENSE[:1]], steps=1)  ->  architectures
pruning.train_side_by_side([DENSE], dataset="practice", steps=0)  ->  steps 0
pruning.train_side_by_side([DENSE], dataset="practice", seed=-1)  ->  seed -1
pruning.train_side_by_side([DENSE], dataset="practice", steps=1, optimizer="x")  ->  optimizer 'x'
pruning.kernels_to_keep(KERNELS, 5, "magic")  ->  choice 'magic'
pruning.salient_masks({}, 0.5)  ->  scores {}
pruning.salient_masks({"a": [1, 2]}, 0.5)  ->  scores
pruning.random_split(10, -1, (5, 5))  ->  seed -1
pruning.weight_saliency(NET, X, "random", seed=-1)  ->  seed -1
"""

NUMBERS = r"""
quantities.accuracy("x")  ->  'x'
eyes.eye_share("x")  ->  'x'
eyes.eye_share(CI, eye="third")  ->  'third'
eyes.acuity(CI, reading=3)  ->  3
eyes.patch(-1, CI)  ->  -1
quantities.each_seed(quantities.harm, CI, seeds="ab")  ->  seeds 'ab'
quantities.sensitivity(BLUR, "x")  ->  onsets 'x'
quantities.sensitivity(BLUR, [10**9])  ->  onset 1000000000
quantities.trace_curve("x")  ->  'x'
quantities.information_centre("x")  ->  'x'
quantities.doublings(BLUR, 3)  ->  3
quantities.accuracy_at(3, 0.1)  ->  3
quantities.kernel_split("x", 3)  ->  'x'
quantities.random_splits_accuracy("course", 10**9, 0)  ->  1000000000 kernels
quantities.result("x")  ->  'x'
statistics.correlation([1, 2], [1, 2])  ->  2 pairs
statistics.correlation([1, 2, 3, 4], [1, 1, 1, 1])  ->  y is the same throughout
statistics.correlation("abcd", [1, 2, 3, 4])  ->  x
statistics.correlation([1, 2, 3, float("nan")], [1, 2, 3, 4])  ->  x
measure.trace(NET, X, taste=1)  ->  'taste'
measure.trace("net", X)  ->  net 'net'
measure.trace(NET, "x")  ->  x 'x'
measure.trace(NET, X.byte())  ->  images of type torch.uint8
measure.trace(NET, X[:0])  ->  no images
measure.sampled_trace(NET, X, seed="x")  ->  seed 'x'
measure.log_determinant(NET, X, damping=0)  ->  damping 0
measure.log_determinant(NET, X, damping="x")  ->  damping 'x'
measure.log_determinant(NET, X, damping=float("nan"))  ->  damping nan
measure.information(NET, X, beta=0)  ->  beta 0
measure.information(NET, X, beta="x")  ->  beta 'x'
measure.information(NET, X, batch=0)  ->  batch 0
quantities.advantage(BLUR, "x")  ->  'x'
quantities.each_seed(quantities.harm, BLUR, seeds=3)  ->  seeds 3
quantities.each_seed(quantities.harm, BLUR, seeds=[0, None])  ->  seeds [0, None]
quantities.each_seed(quantities.harm, "x")  ->  'x'
quantities.each_seed(quantities.harm)  ->  'run'
quantities.each_seed(3, BLUR)  ->  quantity 3
quantities.each_seed(quantities.harm, BLUR, tail=3)  ->  'tail'
quantities.harm("x")  ->  run 'x'
quantities.harm(BLUR, clock="late")  ->  clock 'late'
quantities.lost_time(3)  ->  run 3
quantities.equal_training_loss(None)  ->  run None
quantities.gain_over_newborn(pruning.Search())  ->  run Search(
quantities.sensitivity(BLUR, 3)  ->  onsets 3
quantities.sensitivity(BLUR, [0], of="harm")  ->  of 'harm'
quantities.worst_onset(BLUR, [])  ->  onsets []
quantities.trace_at(FIT, epoch=1000)  ->  after epoch 1000
quantities.trace_at(FIT, epoch=-1000)  ->  after epoch -1000
quantities.trace_match(BLUR, "x", [1, 2])  ->  clear 'x'
quantities.trace_match(FIT, FIT, [10**6])  ->  onset 1000000
quantities.trace_remaining(3)  ->  run 3
quantities.trace_curve(BLUR, of="x")  ->  of 'x'
quantities.layer_shares(FIT, epoch=-5)  ->  epoch -5
quantities.layer_shares(FIT, epoch=10**6)  ->  epoch 1000000
quantities.layer_shares(FIT, epoch="x")  ->  epoch 'x'
quantities.information_shift(FIT, 3)  ->  other 3
quantities.accuracy_at(pruning.Search(), "x")  ->  x
quantities.accuracy_at(BLUR, 3)  ->  3
quantities.kernel_split(pruning.KernelPruning(), 10**9)  ->  1000000000 kernels
quantities.kernel_split(pruning.KernelPruning(), [])  ->  kernels []
quantities.random_splits_accuracy("course", 50, 0, draws=10**9)  ->  draws 1000000000
quantities.random_splits_accuracy("course", 50, 0, draws=0)  ->  draws 0
quantities.random_splits_accuracy("huge", 50, 0)  ->  size 'huge'
quantities.plasticity_loss(BLUR)  ->  life Run(
windows.same_setting("x")  ->  like 'x'
windows.same_setting(BLUR, table="x")  ->  table 'x'
windows.same_setting(BLUR, 3)  ->  but 3
windows.point_means("x")  ->  table 'x'
windows.point_means(cplab.table(), "late")  ->  clock 'late'
windows.longest_harmless_window("x", "blur")  ->  points 'x'
quantities.result(BLUR, 3)  ->  measure 3
statistics.describe("abc")  ->  values 'abc'
statistics.describe(3)  ->  values 3
statistics.describe([1.0, "x"])  ->  values [1.0, 'x']
statistics.describe([1.0, 2.0], digits="x")  ->  digits 'x'
statistics.describe([1.0, 2.0], digits=-1)  ->  digits -1
statistics.mean_and_half("x")  ->  values 'x'
statistics.mean_and_half(3)  ->  values
statistics.mean_and_half([[1], [1, 2]])  ->  values [[1], [1, 2]]
statistics.half_width("x", 3)  ->  std 'x'
statistics.mean_columns(3)  ->  groups 3
statistics.mean_curve(3)  ->  results 3
statistics.find_crossing([1, 2], [1])  ->  y
statistics.detectable("x", 3)  ->  half 'x'
statistics.column_effect([1, 2])  ->  table
statistics.column_effect([[1, 2]])  ->  table
statistics.compare([1, "x"], "a")  ->  points [1, 'x']
statistics.compare([1, 2], 3)  ->  other 3
statistics.describe_ratio({})  ->  doublings {}
linear.descend(REARED, rate=5.0)  ->  rate 5.0
linear.descend(REARED, rate=-1)  ->  rate -1
linear.descend(REARED, rate=0)  ->  rate 0
linear.descend(REARED, rate=float("nan"))  ->  rate nan
linear.invariant(0, 0.1)  ->  depth 0
linear.invariant(4, 0.0)  ->  strength 0.0
linear.invariant(4, float("nan"))  ->  strength nan
linear.share_at_rest(0, 0.1, 0.1)  ->  depth 0
linear.share_at_rest(4, 0.1, 0.1, 0.0)  ->  mode 0.0
linear.share_at_rest(4, 0.1, 0.0)  ->  strength 0.0
linear.half_time(0)  ->  depth 0
linear.half_time(2, mode=0)  ->  mode 0
linear.half_time(2, start=0.3)  ->  start 0.3
linear.half_time(2, mode=0.5, start=0.2)  ->  start 0.2
linear.half_time([1])  ->  depth [1]
linear.effective_rank([1, 2])  ->  matrix array([1., 2.])
linear.effective_rank([[1, float("nan")]])  ->  matrix array([[ 1., nan]])
linear.effective_rank(np.zeros((2, 2)))  ->  matrix array([[0., 0.],
statistics.mean_curve([3])  ->  results [3]
show.over_epochs({"a": [3]})  ->  groups {'a': [3]}
show.rates([BLUR], width="x")  ->  width 'x'
show.rates([BLUR], height=10**9)  ->  height 1000000000
animals.decline("x", 1, 2)  ->  t 'x'
animals.critical_period(5, "x", 2, 3, 4)  ->  d 'x'
pruning.train_side_by_side([DENSE], dataset="practice", steps=10**12)  ->  steps 1000000000000
lab.Slide(FIGURE, [1], lambda n: {"nothing": {}})  ->  data names 'nothing'
statistics.percent("x")  ->  mean 'x'
measure.trace(NET, X[:, :1])  ->  images of shape (1, 8, 8)
measure.trace(NET, X[0])  ->  images
measure.jacobian(NET, X[:, :2])  ->  images of shape (2, 8, 8)
measure.diagonal(NET, X.flatten(1))  ->  images of shape (192,)
measure.information(NET, X[:, :1], draws=2)  ->  images
measure.sharpness(NET, X[:, :1], Y)  ->  images of shape (1, 8, 8)
measure.sharpness(NET, X, Y[:1])  ->  labels tensor([0])
measure.sharpness(NET, X, Y + 20)  ->  labels tensor([20, 21])
measure.sharpness(NET, X, Y.float())  ->  labels tensor([0., 1.])
measure.sharpness(NET, X, [0, 1])  ->  y [0, 1]
measure.sharpness(NET, X, Y, tolerance=-1)  ->  tolerance -1
measure.orientation("x")  ->  filters 'x'
measure.orientation([1, 2])  ->  filters
measure.orientation(3)  ->  filters
measure.orientation([[[1, 2], [3]]])  ->  filters
measure.orientation(np.ones((1, 1, 3, 3)), size=0)  ->  size 0
measure.orientation(np.ones((1, 1, 3, 3)), size=10**6)  ->  size 1000000
measure.orientation(np.ones((1, 1, 3, 3)), size=2)  ->  size 2
measure.power_spectrum("x")  ->  images 'x'
measure.power_spectrum([1, 2])  ->  images
measure.power_spectrum(np.ones((2, 3, 8, 4)))  ->  images
measure.power_spectrum(np.ones((0, 3, 8, 8)))  ->  images
"""

FIGURES = r"""
show.label(3)  ->  kind 3
show.colour(None)  ->  kind None
show.removal("x")  ->  like 'x'
show.removal(Run(), "blurr")  ->  deficits 'blurr'
show.removal(Run(), ("blurr",))  ->  deficit 'blurr'
show.removal(Run(), 3)  ->  deficits 3
show.removal(Run(), ("blur",), table="x")  ->  table 'x'
show.compare_with_control(Run(), ("blur",), control="magic")  ->  control 'magic'
show.rates("x")  ->  runs 'x'
show.rates(Run())  ->  runs
show.over_epochs({"a": "x"})  ->  groups
show.over_epochs([RESULT])  ->  groups
show.layer_labels("x")  ->  count 'x'
show.means({"a": 3}, ("a", "b"))  ->  groups
show.means({"a": {0: [0.5]}}, "ab")  ->  words 'ab'
show.bars({"a": "x"}, "words")  ->  values
show.bars({"a": 3}, "words")  ->  values
show.curves({"a": 3}, "a", "b")  ->  groups
show.source_line(3)  ->  of 3
show.rates([BLUR], widht=3)  ->  widht
show.layer_labels(10**9)  ->  count 1000000000
show.layer_labels(-1)  ->  count -1
show.strips(3)  ->  rows 3
show.strips({"a": 3})  ->  images
show.strips({"a": np.zeros((8, 8, 3), np.uint8)})  ->  images
show.strips({"a": np.zeros((2, 8, 8, 3))})  ->  images
show.strips({"a": np.zeros((2, 8, 8, 2), np.uint8)})  ->  images
show.strips({"a": np.zeros((0, 8, 8, 3), np.uint8)})  ->  images
show.strips({"a": np.zeros((2, 8, 8, 3), np.uint8)}, scale=0)  ->  scale 0
show.strips({"a": np.zeros((2, 8, 8, 3), np.uint8)}, scale=10**6)  ->  scale 1000000
show.filter_pictures("x")  ->  filters 'x'
show.filter_pictures([1, 2])  ->  filters
show.filter_pictures(np.ones((2, 5, 3, 3)))  ->  filters
show.filter_pictures(np.ones((0, 3, 3, 3)))  ->  filters
show.to_pixels("x", IMAGES)  ->  x 'x'
show.to_pixels(X, "images")  ->  images 'images'
show.to_pixels(X[0], IMAGES)  ->  images
show.to_pixels(X[:, :1], IMAGES)  ->  images
show.display(3)  ->  3
show.display(FIGURE, "x")  ->  'x'
show.curves({"a": ([1, 2],)}, "a", "b")  ->  groups
show.curves({"a": ([1, 2], [3])}, "a", "b")  ->  groups
show.removal(BLUR, ("blur",), widht=3)  ->  widht
"""

WIDGETS = r"""
cplab.Explorer("big")  ->  profile 'big'
cplab.Explorer("ci", deficits="blur")  ->  deficits 'blur'
cplab.Explorer("ci", deficits=("blurr",))  ->  deficit 'blurr'
cplab.Explorer("ci", deficits=3)  ->  deficits 3
cplab.Explorer("ci", deficits=("none",))  ->  length 8
cplab.Explorer("ci", deficits=("blur:left",))  ->  deficit 'blur:left'
cplab.Explorer("ci", onset=10**9)  ->  onset 1000000000
cplab.Explorer("ci", length=10**7)  ->  length 10000000
cplab.Explorer("ci", onset=-1)  ->  onset -1
cplab.Explorer("ci", onset="x")  ->  onset 'x'
cplab.Explorer("ci", seed="x")  ->  seed 'x'
cplab.Explorer("ci", seed=-1)  ->  seed -1
cplab.Explorer("ci", device=3)  ->  device 3
cplab.Explorer("ci", schedule="cosine")  ->  schedule 'cosine'
cplab.Explorer("ci", dataset="imagenet")  ->  dataset 'imagenet'
cplab.Explorer("ci", model="vgg")  ->  model 'vgg'
cplab.Explorer(None)  ->  profile None
lab.choice("?", "yes", list)  ->  answers 'yes'
lab.choice("?", 3, list)  ->  answers 3
lab.choice(3, ["a", "b"], list)  ->  question 3
lab.choice("?", ["a", "b"], 3)  ->  make 3
lab.class_picture(3, "051E")  ->  question 3
lab.class_picture(lab.choice("?", ["a", "b"], list), "")  ->  no code
lab.class_picture(lab.choice("?", ["a", "b"], list), 3)  ->  codes 3
lab.check_answer("99-1", 3)  ->  exercise with a check '99-1'
lab.check_answer(3, 3)  ->  exercise 3
lab.Prediction("x", {"a": CI})  ->  given 'x'
lab.Prediction({}, {3: [0.5]}, "me")  ->  asked
lab.Ranking({"a": "x", "b": "y"})  ->  runs
lab.Ranking(3)  ->  runs 3
lab.Ranking([BLUR])  ->  runs
lab.Switch(["a"], 3)  ->  draw 3
lab.Slide(FIGURE, [1, 2], 3)  ->  data 3
lab.Slide(FIGURE, 3, dict)  ->  options 3
lab.Live({"a": "x"}, lambda run: {})  ->  runs
lab.Live(BLUR, lambda run: {})  ->  runs
lab.Live({"a": CI}, 3)  ->  known 3
lab.Live({"a": CI}, lambda run: {}, measure="taste")  ->  measurement 'taste'
lab.pictures("practice", "big")  ->  profile 'big'
cplab.Explorer("ci", device="tpu")  ->  device 'tpu'
cplab.Explorer("ci", deficits=())  ->  deficits ()
lab.choice("?", [], list)  ->  answers []
lab.choice("?", ["a", 3], list)  ->  answers ['a', 3]
lab.finding(3)  ->  make 3
lab.Prediction({}, {})  ->  asked {}
lab.Prediction({"a": "x"}, {"b": [0.5]})  ->  a
lab.Prediction({}, {"a": 3}, "me")  ->  a
lab.Prediction({}, {"a": [0.5, "x"]}, "me")  ->  a
lab.Ranking({})  ->  runs {}
lab.Ranking({"a": BLUR})  ->  runs {'a'
lab.Switch([], dict)  ->  options []
lab.Switch(3, dict)  ->  options 3
lab.Switch(["a"], str)  ->  'a'
lab.Slide(FIGURE, [], dict)  ->  options []
lab.Slide(3, [1], dict)  ->  3
lab.Slide(FIGURE, [1], lambda n: 3)  ->  data
lab.Fitting(line, [1, 2], [1], {"a": 0}, {"a": (0, 1)})  ->  t has 2 numbers
lab.Fitting(line, [], [], {"a": 0}, {"a": (0, 1)})  ->  t
lab.Fitting(line, [1, 2], "x", {"a": 0}, {"a": (0, 1)})  ->  y 'x'
lab.Fitting(line, [1, 2], [1, 2], {"a": 0}, {})  ->  ends {}
lab.Fitting(line, [1, 2], [1, 2], {}, {"a": (0, 1)})  ->  ends
lab.Fitting(line, [1, 2], [1, 2], {"b": 0}, {"b": (0, 1)})  ->  b
lab.Fitting(line, [1, 2], [1, 2], {"a": 0}, {"a": (1,)})  ->  ends
lab.Fitting(line, [1, 2], [1, 2], {"a": 0}, {"a": (1, "x")})  ->  ends
lab.Fitting(line, [1, 2], [1, 2], {"a": 0}, {"a": (0, 1)}, half=[1])  ->  half
lab.Live({}, lambda run: {})  ->  runs {}
lab.Live({"a": CI}, lambda run: {}, device="tpu")  ->  device 'tpu'
lab.Live({"a": CI}, lambda run: {}, what="trace")  ->  what 'trace'
lab.pictures("imagenet", "course")  ->  dataset 'imagenet'
lab.pictures(3, "course")  ->  dataset 3
"""

COMMANDS = r"""
run --onset 1000000000  ->  onset '1000000000'
run --recovery 2147483647  ->  recovery '2147483647'
run --deficit blur --length 99999  ->  a run of 100014 epochs
run --onset 60000 --recovery 60000 --length 0  ->  a run of 120000 epochs
run --model allcnn-99999999999999999999999  ->  model 'allcnn-99999999999999999999999'
run --model allcnn-100000  ->  model 'allcnn-100000'
run --deficit blur:left --length 1  ->  deficit 'blur:left'
run --deficit blur-99999999999 --length 1  ->  deficit 'blur-99999999999'
run --seed 99999999999999999999999999  ->  seed '99999999999999999999999999'
run --rate nan  ->  rate 'nan'
run --momentum inf  ->  momentum 'inf'
run --treatments heal@1  ->  unknown treatment 'heal'
run --windows blank@0+1000000000  ->  epochs of a window '1000000000'
run --profile \udcff  ->  profile '\udcff'
run --\udcff  ->  unrecognized arguments
run --onset \udcff  ->  onset '\udcff'
run \u202e  ->  key or kind of result '\u202e'
run Search --gamma nan  ->  gamma 'nan'
run Search --n 99999999999  ->  n '99999999999'
run Search --onset 3  ->  unrecognized arguments
run Search --keep x  ->  density 'x'
run Retraining --density 2  ->  density '2'
run Pruned --density x  ->  density 'x'
run Pruned --length 99999999 --deficit blur  ->  99999999
run KernelPruning --size huge  ->  size 'huge'
run KernelSplit --first x  ->  KernelSplit
run KernelSplit  ->  KernelSplit
run Run --onset x  ->  onset 'x'
run 10da86ce08101b40 --onset x  ->  onset 'x'
run 10da86ce08101b40 --gamma 3  ->  unrecognized arguments
run ffffffffffffffff  ->  no result
run 10da86ce08101b4  ->  key or kind of result '10da86ce08101b4'
run --measure trace=  ->  ''
run --measure =3  ->  measurement ''
run --measure trace=99999999999999  ->  epoch '99999999999999'
run --measure trace=0,-1  ->  epoch '-1'
run --measure trace=nan  ->  'nan'
run --measure trace,ending  ->  measurement 'trace,ending'
run --measure  ->  argument --measure
run --device  ->  argument --device
run --profile ci --recovery 1 --device cpu:x  ->  device 'cpu:x'
run --json=yes  ->  argument --json
run --fresh=1  ->  argument --fresh
run -x  ->  unrecognized arguments
run -- --onset  ->  unrecognized arguments
run --deficit  ->  argument --deficit
run --deficit=  ->  deficit ''
run --windows ,  ->  window ','
run --augment ''  ->  augment ''
sweep --workers 1000000000 --profile ci  ->  workers '1000000000'
sweep --workers -1 --profile ci  ->  workers '-1'
sweep --workers nan --profile ci  ->  workers 'nan'
sweep --onset 0 99999999999  ->  onset '99999999999'
sweep --seed 0 1 x  ->  seed 'x'
sweep --seed  ->  argument --seed
sweep Nothing  ->  key or kind of result 'Nothing'
sweep 0123456789abcdef  ->  no result
sweep Search --gamma 0 1  ->  gamma '0'
sweep --device gpu --profile ci  ->  device 'gpu'
results lst  ->  argument COMMAND
results list --onset x  ->  onset 'x'
results list --onset -1  ->  onset '-1'
results list Nothing  ->  kind of result 'Nothing'
results list --model vgg  ->  model 'vgg'
results export  ->  the following arguments are required
results export x  ->  kind of file ''
results export .csv  ->  kind of file ''
results verify --retrain -1  ->  retrain '-1'
results verify --retrain 99999999999999  ->  retrain '99999999999999'
results verify --seed x  ->  seed 'x'
results verify --profile big  ->  profile 'big'
results verify --device bogus  ->  device 'bogus'
results verify --retrain 1 --profile colab --device tpu  ->  device 'tpu'
results retrain  ->  the following arguments are required
results retrain x  ->  no result
results retrain 0123456789abcdef --device tpu  ->  no result
results retrain ../../x  ->  no result
results merge ''  ->  path ''
results ship  ->  the following arguments are required
results ship ../x  ->  name '../x'
results ship x Nothing  ->  kind of result 'Nothing'
results ship x --profile big  ->  profile 'big'
data fetch  ->  the following arguments are required
data fetch imagenet  ->  dataset 'imagenet'
data fetch practice  ->  dataset 'practice'
data fetch ../x  ->  dataset '../x'
bench  ->  argument COMMAND
campaign next  ->  argument COMMAND
"""

OWN = """
def shade(x, y, by: float = 0.5):
    return x * by, y

def net_size(net, images):
    return 1

class Own(nn.Module):
    def __init__(self, width, channels, size, classes):
        super().__init__()
        self.inner = nn.Linear(channels * size * size, classes)

    def forward(self, x):
        return self.inner(x.flatten(1))
"""


def rows(*tables):
    """The lines of some tables: (call or words, what its error names)."""
    return [line.split("  ->  ") for table in tables for line in table.strip().splitlines()]


@pytest.fixture(scope="module")
def things():
    """What the calls are made with."""
    names = ["fits", "lab", "measure", "models", "quantities", "results", "show", "statistics"]
    modules = {name: importlib.import_module(f"cplab.{name}") for name in (*names, "windows")}
    for name in ("eyes", "linear", "pruning"):
        modules[name] = importlib.import_module(f"cplab.studies.{name}")
    modules["animals"] = importlib.import_module("cplab.studies.kitten")
    own, blur = cell(OWN, nn=nn), Run("blur", length=8)
    made = {
        "np": np,
        "itertools": itertools,
        "decline": modules["animals"].decline,
        "CI": Run(profile="ci", recovery=1),
        "BLUR": blur,
        "FIT": Run(onset=24, profile="fit"),
        "DENSE": [np.ones((16, 784), bool), np.ones((10, 16), bool)],
        "KERNELS": modules["pruning"].KernelNet((4, 8), (16, 8), pixels=8),
        "REARED": modules["linear"].Rearing(depth=2, length=1),
        "RANDOM": np.random.default_rng(0),
        "line": lambda t, a: a * t,
        "RESULT": cplab.run(blur),
        "FIGURE": modules["show"].rates([blur]),
        "IMAGES": cplab.images("practice", "ci"),
        "NET": modules["models"].build("allcnn-4", 3, 8),
        "X": torch.randn(2, 3, 8, 8),
        "Y": torch.tensor([0, 1]),
    }
    return globals() | own | modules | made


@pytest.fixture(autouse=True)
def soon():
    """No refusal takes long: an interrupt ends what would."""

    def late(*_):
        raise TimeoutError("it takes too long")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def assert_one_line(text, named):
    """One line that is not too long, names what is wrong and, after a colon, says what to do."""
    assert "\n" not in text
    assert len(text) < 600
    assert named in text
    assert re.search(r": \S", text)


@pytest.mark.parametrize(("call", "named"), rows(RUNS, QUESTIONS, DOOR, SPECS))
def test_a_call_is_refused_in_one_line(call, named, things):
    with pytest.raises(CplabError) as error:
        eval(call, dict(things))
    assert_one_line(str(error.value), named)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "x = 1\ncplab.Run(deficit='blurr')",
            ["the cell: cplab.Run(deficit='blurr')"],
        ),
        (
            "@cplab.deficit(label='mine')\ndef mine(x, y):\n    z = x + 1\n    return z.wrong, y",
            ["the cell: @cplab.deficit(label='mine')", "mine: return (z.wrong, y)"],
        ),
    ],
)
def test_a_notebook_shows_the_line_and_where_it_arose_in_the_students_own_code(text, shown, capsys):
    shell = InteractiveShell()
    shell.run_cell("import cplab")
    capsys.readouterr()
    error = shell.run_cell(text).error_in_exec
    first, *steps = capsys.readouterr().out.splitlines()
    assert isinstance(error, CplabError)
    assert first == f"CplabError: {error}"
    assert [step.strip() for step in steps] == shown


@pytest.mark.parametrize(("call", "named"), rows(NUMBERS, FIGURES, WIDGETS))
def test_a_measure_a_figure_and_a_widget_are_refused_in_one_line(call, named, things):
    with pytest.raises(CplabError) as error:
        eval(call, dict(things))
    assert_one_line(str(error.value), named)


def typed(line):
    """The words of a line of the table; \\u and \\x stand for what they are in Python."""
    words = [word.encode().decode("unicode_escape") for word in line.split()]
    return ["" if word == "''" else word for word in words]


@pytest.mark.parametrize(("line", "named"), rows(COMMANDS))
def test_a_command_is_refused_in_one_line_with_exit_code_2(line, named, capsys):
    code = cli.main(typed(line))
    _, err = capsys.readouterr()
    [said] = err.splitlines()
    assert code == 2
    assert said.startswith("error: ")
    assert_one_line(said, named)


# Anything at all ----------------------------------------------------------------------------------

NASTY = st.one_of(
    st.text(max_size=20),
    st.characters(categories=["Cs", "Cc", "Zl", "So"]),
    st.integers(),
    st.sampled_from([10**400, 10**5000, -(10**400), 2**31, 2**63, 1e308]),
    st.floats(),
    st.none(),
    st.booleans(),
    st.binary(max_size=4),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=2), st.none(), max_size=1),
    st.tuples(st.text(max_size=5), st.integers(), st.integers()),
    st.sampled_from(["blur", "blur-2", "blur:left", "none+none", "allcnn-7", "ci", "blank@1+1"]),
)
FIELDS = [field.name for field in fields(Run) if field.name != "profile"]


@settings(max_examples=400)
@given(st.dictionaries(st.sampled_from(FIELDS), NASTY, min_size=1, max_size=3))
def test_whatever_a_field_is_given_a_run_is_made_or_refused_in_one_line(values):
    try:
        run = Run(**{"profile": "ci", **values})
    except CplabError as error:
        assert_one_line(str(error), "")
    else:
        assert Run(**specs.plain(run)).key == run.key
        assert len(run.life) == run.epochs <= 100_000


WORDS = st.one_of(
    st.text(max_size=12),
    st.characters(categories=["Cs", "Cc", "Zl"]),
    st.integers(max_value=-1).map(str),
    st.integers(min_value=2**31).map(str),
    st.sampled_from(["nan", "inf", "-", "--", "=", "@", "--onset", "--seed=", "blur", "1" * 5000]),
)
COMMANDS_SAFE = ["results list", "results retrain", "results ship x", "data list", "data fetch"]


@settings(max_examples=150)
@given(st.sampled_from(COMMANDS_SAFE), st.lists(WORDS, min_size=1, max_size=4))
def test_whatever_is_typed_nothing_but_a_line_comes_of_it(command, words):
    assert cli.main([*command.split(), *words]) in (0, 2)


@settings(max_examples=150)
@given(st.sampled_from(["run", "sweep"]), st.sampled_from(FIELDS), st.lists(WORDS, min_size=1))
def test_an_option_that_no_run_has_is_refused(command, field, words):
    """With a length that no deficit has, so that nothing is trained whatever the option says."""
    option, safe = f"--{field.replace('_', '-')}", ["--length", "x", "--profile", "ci"]
    assert cli.main([command, option, *words, *safe]) in (0, 2)


@settings(max_examples=300)
@given(st.text("bluroptn-+:@0189abcdef é²", max_size=24), st.sampled_from([0, 8, 16]))
def test_a_written_deficit_has_one_canonical_form_or_is_refused_in_one_line(text, size):
    from cplab.deficits import canonical_name

    try:
        name = canonical_name(text, size)
    except CplabError as error:
        assert_one_line(str(error), "")
    else:
        assert canonical_name(name, size) == name


# Many ---------------------------------------------------------------------------------------------


def test_a_life_that_is_too_long_is_refused_before_it_is_laid_out():
    tracemalloc.start()
    for values in ({"onset": 10**9}, {"onset": 99_999}, {"recovery": 10**7}):
        with pytest.raises(CplabError):
            Run(**values)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**20


def test_a_hundred_thousand_runs_are_made_in_seconds():
    began = time.process_time()
    runs = [
        Run(deficit, onset, length, seed=seed)
        for deficit in ("blur", "flip", "noise", "blank")
        for onset in range(250)
        for length in range(1, 11)
        for seed in range(10)
    ]
    assert len({run.key for run in runs}) == 100_000
    assert time.process_time() - began < 30


def test_a_view_is_refused_when_the_run_is_made():
    for values in ({"deficit": "blur:left"}, {"deficit": "flip", "windows": "blur:right@0+1"}):
        with pytest.raises(CplabError, match="two views"):
            Run(**values, length=1)
