"""The models that the suite runs in MLServer."""

import asyncio
from pathlib import Path

from mlserver.errors import InferenceError
from mlserver.types import InferenceResponse, MetadataTensor, ResponseOutput

from mlserver import MLModel


class Identity(MLModel):
    """Answers each input with an output of the same content."""

    async def load(self):
        self.inputs = [MetadataTensor(name="INPUT0", datatype="INT32", shape=[-1])]
        self.outputs = [MetadataTensor(name="OUTPUT0", datatype="INT32", shape=[-1])]
        return True

    async def predict(self, payload):
        if any(tensor.name == "FAIL" for tensor in payload.inputs):
            raise InferenceError("the model said no")
        outputs = [
            ResponseOutput(
                name=tensor.name.replace("INPUT", "OUTPUT"),
                shape=tensor.shape,
                datatype=tensor.datatype,
                data=tensor.data,
                parameters=tensor.parameters,
            )
            for tensor in payload.inputs
        ]
        return InferenceResponse(id=payload.id, model_name=self.name, model_version="v1", outputs=outputs)


class Tokens(Identity):
    """Streams a text by words. The inputs' names say what goes wrong on the way."""

    async def predict_stream(self, payloads):
        async for payload in payloads:
            names = {tensor.name for tensor in payload.inputs}
            if "NONE" in names:
                return
            words = ("What ", "a ", "fine ", "day")
            if "SECRET" in names:
                words = ("Ask jane", ".doe@exam", "ple.com, ", "not me. Or jane.doe@example.", "com")
            for word in words:
                yield self.answer(word)
                if "ENDLESS" in names:
                    await self.wait()
            if "FAIL" in names:
                raise InferenceError("the model said no")

    def answer(self, word):
        output = ResponseOutput(name="text_output", shape=[1], datatype="BYTES", data=[word.encode()])
        return InferenceResponse(model_name=self.name, outputs=[output])

    async def wait(self):
        """Waits for the caller to be gone, and leaves a file to say so."""
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            Path("cancelled").touch()
            raise
