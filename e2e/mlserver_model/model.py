"""The model that the suite runs in MLServer."""

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
